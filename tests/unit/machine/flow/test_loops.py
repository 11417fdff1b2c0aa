"""`while`: a condition before each iteration, and a limit that fails."""

from __future__ import annotations

from leasehold.core.testing import Failure, Takes, play

COUNT = """
name: count
steps:
  - {name: probe, executor: probe}
  - name: until-quiet
    while: "{{ steps.probe.result.count > 0 }}"
    max_iterations: 5
    steps:
      - {name: wait, wait: 1m}
      - {name: probe, executor: probe, input: "{{ index }}"}
  - {name: after, executor: probe}
outputs: {last: "{{ steps.until-quiet.result }}"}
"""


def test_the_condition_sees_the_last_iteration_before_what_is_outside() -> None:
    left = [3, 2, 1, 0, 0]
    seen = []

    def probe(step):  # type: ignore[no-untyped-def]
        seen.append(step.payload)
        return {"count": left.pop(0)}

    run = play(COUNT, executors={"probe": probe})
    run.until_done()
    assert run.status == "succeeded"
    assert run.outputs == {"last": {"count": 0}}
    assert seen == [None, 0, 1, 2, None]
    assert run.elapsed_ms == 180_000
    assert [path for path in run.instance.steps if path.startswith("until")] == [
        "until-quiet",
        "until-quiet[1].wait",
        "until-quiet[1].probe",
        "until-quiet[2].wait",
        "until-quiet[2].probe",
    ]


def test_a_condition_that_never_holds_runs_nothing() -> None:
    run = play(COUNT, executors={"probe": {"count": 0}})
    run.until_done()
    assert run.outputs == {"last": None}
    assert run.elapsed_ms == 0


def test_the_limit_fails_the_step_loudly() -> None:
    run = play(COUNT, executors={"probe": {"count": 1}})
    run.until_done()
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "max_iterations"
    assert "max_iterations is 5, and after 5 iterations the condition still holds" in run.error.message
    assert len([attempt for attempt in run.attempts() if attempt.path.startswith("until-quiet[")]) == 5


def test_a_step_that_fails_in_an_iteration_fails_the_loop() -> None:
    run = play(COUNT, executors={"probe": [{"count": 1}, Failure("x", "no")]})
    run.until_done()
    assert run.error is not None
    assert run.error.message == "step 'until-quiet[0].probe' failed: no"


def test_a_body_step_that_has_not_run_is_pending_for_the_condition() -> None:
    run = play(
        """
name: x
steps:
  - name: loop
    while: "{{ steps.poll.status == 'pending' or not steps.poll.result }}"
    steps: [{name: poll, executor: e}]
""",
        executors={"e": [False, False, True]},
    )
    run.until_done()
    assert run.status == "succeeded"
    assert "loop[2].poll" in run.instance.steps


def test_a_loop_of_steps_that_take_no_time_ends_in_one_event() -> None:
    run = play(
        """
name: x
steps:
  - {name: zero, set: {n: 0}}
  - name: loop
    while: "{{ vars.n < 500 }}"
    steps: [{name: more, set: {n: "{{ vars.n + 1 }}"}}]
outputs: {n: "{{ vars.n }}"}
"""
    )
    assert run.status == "succeeded"
    assert run.outputs == {"n": 500}
    assert len(run.instance.steps) <= 5


def test_the_condition_may_fail_as_a_template_does() -> None:
    run = play(COUNT, executors={"probe": {"other": 1}})
    run.until_done()
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.type == "template"


def test_a_child_of_an_iteration_that_is_forgotten_may_end_late() -> None:
    run = play(
        """
name: x
steps:
  - name: loop
    while: "{{ index is undefined and steps.b.result != 3 }}"
    max_iterations: 9
    steps:
      - {name: a, executor: count}
      - {name: late, workflow: slow, timeout: 1s, on_failure: continue}
      - {name: b, executor: count}
""",
        workflows=[
            "name: slow\nsteps: [{name: do, executor: slow, compensate: {executor: slow}}, {name: w, wait: 1h}]"
        ],
        executors={"count": [1, 1, 2, 2, 3, 3], "slow": [1, Takes("1m", 1), 1, Takes("1m", 1), 1, Takes("1m", 1)]},
    )
    run.until_done()
    assert (run.status, run.elapsed_ms) == ("succeeded", 63_000)
