from __future__ import annotations

import pytest
from leasehold.claim.wire import ErrorInfo
from leasehold.core.machine import Approval, Claimed, Decided, InstanceEnded, StepReady
from leasehold.core.testing import Failure, play

from ..runs import START_MS, Broken, Computed, Run, approved, plan, step

NOW = Computed(lambda context: context["now"])


def test_a_step_that_requires_approval_waits_with_the_instance_until_somebody_decides() -> None:
    run = Run(plan(approved("a", timeout_ms=60_000, input=NOW)))
    assert (run.status, run.statuses, run.effects) == ("waiting", {"a": "waiting"}, ())
    assert run.state("a").approval == Approval(asked_at_ms=START_MS, timeout_at_ms=START_MS + 60_000)
    assert run.refuse(Claimed(START_MS, "a", 1_000, "w")).reason == "not_open"


def test_an_approved_step_is_rendered_as_of_the_decision_and_becomes_ready() -> None:
    run = Run(plan(approved("a", timeout_ms=60_000, input=NOW)))
    run.at_ms += 30_000
    effects = run.decide("a", True, comment="fine", form={"ticket": 7})
    assert effects == (StepReady("a", "work", START_MS + 30_000, "1970-01-01T00:17:10.000Z"),)
    assert run.state("a").approval == Approval(
        "approved", START_MS, START_MS + 60_000, "ann", START_MS + 30_000, "fine", {"ticket": 7}, attempt=1
    )
    assert (run.status, run.state("a").wake_at_ms) == ("running", 0)


def test_a_rejection_fails_the_step_and_names_who_and_why() -> None:
    run = Run(plan(approved("a"), step("b", "a")))
    effects = run.decide("a", False, comment="too risky")
    assert effects == (InstanceEnded(),)
    assert run.state("a").error == ErrorInfo("rejected", "rejected by ann: too risky")
    assert run.instance.error == ErrorInfo("rejected", "step 'a' failed: rejected by ann: too risky")
    assert (run.status, run.statuses) == ("failed", {"a": "failed", "b": "cancelled"})


def test_a_condition_is_asked_before_the_approval() -> None:
    run = Run(plan(approved("a", condition=Computed(lambda _: False))))
    assert run.statuses == {"a": "skipped"}
    assert run.state("a").approval is None


def test_a_template_that_fails_after_the_approval_fails_the_step_and_keeps_the_decision() -> None:
    run = Run(plan(approved("a", input=Broken())))
    run.decide("a", True)
    error, approval = run.state("a").error, run.state("a").approval
    assert error is not None
    assert approval is not None
    assert (error.type, approval.decision) == ("template", "approved")


@pytest.mark.parametrize(
    ("on_timeout", "status", "instance"),
    [("fail", "failed", "failed"), ("approve", "ready", "running"), ("skip", "skipped", "succeeded")],
)
def test_a_decision_that_does_not_come_in_time_is_taken_by_on_timeout(
    on_timeout: str, status: str, instance: str
) -> None:
    run = Run(plan(approved("a", timeout_ms=5_000, on_timeout=on_timeout)))
    run.fire(5_000)
    approval = run.state("a").approval
    assert approval is not None
    assert (approval.decision, approval.decided_at_ms, approval.decided_by) == ("timed_out", run.at_ms, None)
    assert (run.state("a").status, run.status, run.state("a").wake_at_ms) == (status, instance, 0)


def test_an_approval_that_times_out_fails_by_that_name() -> None:
    run = Run(plan(approved("a", timeout_ms=5_000)))
    run.fire(5_000)
    assert run.state("a").error == ErrorInfo("approval_timeout", "nobody decided within 5000 ms")


def test_the_dependents_of_a_step_whose_approval_is_skipped_go_on() -> None:
    run = Run(plan(approved("a", timeout_ms=5_000, on_timeout="skip"), step("b", "a")))
    run.fire(5_000)
    assert run.statuses == {"a": "skipped", "b": "ready"}


def test_an_approval_without_a_timeout_waits_for_ever() -> None:
    run = Run(plan(approved("a")))
    run.fire(10**12)
    assert run.status == "waiting"


def test_a_decision_without_a_path_means_the_only_open_approval() -> None:
    run = Run(plan(approved("a"), step("b")))
    run.decide("", True)
    assert run.state("a").status == "ready"


def test_a_decision_without_a_path_is_ambiguous_while_several_are_open() -> None:
    run = Run(plan(approved("a"), approved("b")))
    refused = run.refuse(Decided(run.at_ms, "", True, "ann"))
    assert (refused.reason, refused.detail) == ("ambiguous", "2 approvals are open, name one: a, b")


def test_a_decision_where_none_is_asked_for_is_refused() -> None:
    run = Run(plan(step("a"), approved("b", "a")))
    assert run.refuse(Decided(run.at_ms, "", True, "ann")).reason == "not_open"
    assert run.refuse(Decided(run.at_ms, "a", True, "ann")).reason == "not_open"
    assert run.refuse(Decided(run.at_ms, "b", True, "ann")).reason == "not_open"
    assert run.refuse(Decided(run.at_ms, "ghost", True, "ann")).reason == "unknown_step"


def test_only_named_approvers_may_decide_by_name_or_by_role() -> None:
    run = Run(plan(approved("a", approvers=("bob", "soc-lead"))))
    refused = run.refuse(Decided(run.at_ms, "a", True, "ann", roles=("soc",)))
    assert refused.reason == "forbidden"
    assert "bob, soc-lead" in refused.detail
    by_role = Run(plan(approved("a", approvers=("bob", "soc-lead"))))
    by_role.decide("a", True, by="eve", roles=("soc", "soc-lead"))
    assert by_role.state("a").status == "ready"
    run.decide("a", True, by="bob")
    assert run.state("a").status == "ready"


@pytest.mark.parametrize("path", ["a", ""])
@pytest.mark.parametrize("approve", [True, False])
def test_the_same_decision_by_the_same_person_again_changes_nothing(path: str, approve: bool) -> None:
    run = Run(plan(approved("a")))
    run.decide("a", approve)
    run.ignore(Decided(run.at_ms + 1, path, approve, "ann"))


def test_another_decision_after_the_fact_is_refused_with_what_was_decided() -> None:
    run = Run(plan(approved("a")))
    run.decide("a", True)
    refused = run.refuse(Decided(run.at_ms, "a", False, "ann"))
    assert (refused.reason, refused.detail) == ("not_open", f"step 'a' was approved by ann at {START_MS}")
    assert run.refuse(Decided(run.at_ms, "a", True, "bob")).reason == "not_open"
    run.claim("a")
    run.complete("a")
    run.ignore(Decided(run.at_ms, "a", True, "ann"))
    assert run.refuse(Decided(run.at_ms, "a", False, "ann")).reason == "finished"


def test_a_decision_after_the_timeout_took_it_is_refused() -> None:
    run = Run(plan(approved("a", timeout_ms=5_000, on_timeout="approve")))
    run.fire(5_000)
    refused = run.refuse(Decided(run.at_ms, "a", True, "ann"))
    assert (refused.reason, refused.detail) == ("not_open", f"the approval of step 'a' timed out at {run.at_ms}")


def test_the_instance_is_waiting_only_while_nothing_but_approvals_is_open() -> None:
    run = Run(plan(approved("asked"), step("a"), step("b", "a")))
    assert run.status == "running"
    run.claim("a")
    run.complete("a")
    run.claim("b")
    run.complete("b")
    assert run.status == "waiting"
    run.decide("asked", True)
    assert run.status == "running"


def test_what_was_decided_and_the_forms_fields_are_there_for_the_steps_after_it() -> None:
    run = play(
        """
name: x
steps:
  - name: ask
    executor: e
    requires_approval: true
    approval: {form: {ticket: {type: string}}}
  - {name: after, executor: e, input: "{{ steps.ask.approval.by }}: {{ steps.ask.approval.form.ticket }}"}
outputs: {said: "{{ steps.after.result }}"}
""",
        executors={"e": lambda step: step.payload},
    )
    run.approve(by="ann", form={"ticket": "CHG-1"})
    run.until_done()
    assert run.outputs == {"said": "ann: CHG-1"}


def test_the_form_of_its_own_approval_is_there_for_a_steps_input_and_for_each_of_its_attempts() -> None:
    run = play(
        """
name: x
steps:
  - name: apply
    executor: e
    requires_approval: true
    approval: {form: {ticket: {type: string}}}
    input: "{{ approval.form.ticket }} by {{ approval.by }}"
    retry: {max: 1, initial: 1s, jitter: none}
  - {name: sub, workflow: child, requires_approval: true, input: {n: "{{ approval.comment }}"}}
""",
        executors={"e": [Failure("x"), "done"], "f": None},
        workflows=[
            "name: child\ninputs: {n: {type: string}}\nsteps: [{name: do, executor: f, input: '{{ inputs.n }}'}]"
        ],
    )
    run.approve(by="ann", form={"ticket": "CHG-1"})
    run.advance(seconds=1)
    assert [attempt.input for attempt in run.attempts("apply")] == ["CHG-1 by ann"] * 2
    run.approve(comment="go on")
    run.until_done()
    assert run.status == "succeeded"
    assert run.child("sub").attempts("do")[0].input == "go on"
