"""The pure part of `_explain`: from facts to causes."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.claim.wire import Explanation
from leasehold.core.explaining import Facts, Holding, LaneFacts, Placing, explain
from leasehold.core.explaining.facts import GroupFacts, QuotaFacts
from leasehold.core.explaining.sentences import after, counted, listed
from leasehold.core.machine.state import Approval, Child, Instance, InstanceStatus, Progress, StepState, StepStatus

NOW_MS = 1_800_000_000_000
OWNED = LaneFacts("00", owner="a", should_own="a", lease_ms=10_000)


def instance(status: InstanceStatus = InstanceStatus.RUNNING, **fields: Any) -> Instance:
    return Instance(
        id="00-1", workflow="w", version=1, definition_tenant="t", tenant="t", space="s", status=status,
        created_at_ms=1, **fields,
    )  # fmt: skip


def why(one: Instance, **facts: Any) -> Explanation:
    given: dict[str, Any] = {"now_ms": NOW_MS, "live": True, "lane": OWNED, **facts}
    return explain(one, None, Facts(**given))


def words(answer: Explanation) -> list[str]:
    return [cause.cause for cause in answer.causes]


@pytest.mark.parametrize(
    ("lane", "part"),
    [
        (LaneFacts("00", None, should_own="b"), "nobody owns it; replica b is to take it"),
        (LaneFacts("00", None), "no replica lives that could take it"),
        (LaneFacts("00", "a", dead=True, should_own="b"), "a does not renew its lease; replica b is to take it"),
        (LaneFacts("00", "a", silent=True, should_own="a"), "a does not answer; another replica takes it"),
    ],
)
def test_a_lane_without_a_living_owner_is_the_first_cause(lane: LaneFacts, part: str) -> None:
    answer = why(instance(steps={"a": StepState(StepStatus.READY)}), lane=lane)
    assert words(answer) == ["lane", "queue"]
    assert part in answer.causes[0].text


def test_an_instance_that_has_ended_waits_for_history_alone() -> None:
    ended = instance(InstanceStatus.FAILED, steps={"a": StepState(StepStatus.READY)})
    assert words(why(ended, history_lag_records=7)) == ["history"]
    assert "7 records" in why(ended, history_lag_records=7).summary
    assert why(ended, live=False).summary == "it has ended: failed"


def test_a_quota_that_is_used_up_is_named() -> None:
    answer = why(instance(), quota=QuotaFacts("running_steps", 10, 10))
    assert words(answer) == ["quota"]
    assert "quota running_steps: 10 of 10" in answer.summary


def test_a_ready_step_that_a_quota_holds_back_names_it_and_not_its_place_in_the_queue() -> None:
    state = instance(steps={"step": StepState(StepStatus.READY)})
    answer = why(state, quotas={"step": QuotaFacts("paused", 0, 0, "the tenant is paused")})
    assert words(answer) == ["quota"]
    assert answer.causes[0].step == "step"
    assert answer.causes[0].text == "the tenant is paused (quota paused)"


@pytest.mark.parametrize(
    ("quota", "advice"),
    [
        (QuotaFacts("max_running_steps", 0, 0, "", "t", "max_running_steps"), "tenants set t max_running_steps=NUMBER"),
        (QuotaFacts("claim_rate", 0, 0, "", "*", "defaults.claim_rate"), "set '*' defaults.claim_rate.per_s=NUMBER"),
        (QuotaFacts("paused", 0, 0, "", "t", "paused"), "let the tenant go on: leasehold tenants set t paused=false"),
        (QuotaFacts("budgets.day.cost", 7, 5, "", "t", "budgets.day.cost"), "until the period is over, or raise it"),
        (QuotaFacts("x", 0, 0, "", "t", 'capabilities."a.b".x'), "tenants set t 'capabilities.\"a.b\".x=NUMBER'"),
    ],
)  # fmt: skip
def test_what_a_quota_advises_is_a_command_that_changes_it_where_it_is_set(quota: QuotaFacts, advice: str) -> None:
    assert advice in why(instance(), quota=quota).causes[0].advice


def test_a_queued_instance_names_who_holds_the_slots() -> None:
    answer = why(instance(queued=True, group="g"), group=GroupFacts(2, ("x", "y"), 1))
    assert (words(answer), answer.causes[0].holders, answer.causes[0].ahead) == (["concurrency"], ["x", "y"], 1)
    assert "2 slots, held by x, y; 1 other wait" in answer.summary


@pytest.mark.parametrize(
    ("placing", "cause", "part"),
    [
        (Placing(), "no-executor", "at this replica"),
        (Placing(peers=2, silent_peers=1), "no-executor", "or its 2 peers (1 peer did not answer)"),
        (Placing(askers=("w",)), "queue", "behind 0 other steps of its tenant"),
        (
            Placing(12, True, 3, ("w", "v")),
            "queue",
            "more than 12 other steps of its tenant for '?'; other tenants wait with 3",
        ),
    ],
)
def test_a_ready_step_says_who_could_take_it_and_what_is_ahead(placing: Placing, cause: str, part: str) -> None:
    answer = why(instance(steps={"a": StepState(StepStatus.READY)}), placings={"a": placing})
    assert words(answer) == [cause]
    assert part in answer.causes[0].text


def test_a_lease_names_holder_end_and_progress() -> None:
    state = StepState(StepStatus.CLAIMED, attempt=2, token=1, worker="w", claimed_at_ms=NOW_MS - 5_000)
    (cause,) = why(instance(steps={"a": state}), holdings={"a": Holding(NOW_MS + 20_000, 40.0, "halfway")}).causes
    assert (cause.cause, cause.until_ms, cause.holders) == ("lease", NOW_MS + 20_000, ["w"])
    assert "attempt 2" in cause.text
    assert "it says: 40 % halfway" in cause.text
    assert "(in 20 s)" in cause.text


def test_a_step_whose_inner_steps_are_open_leaves_the_word_to_them() -> None:
    steps = {
        "both": StepState(StepStatus.WAITING, flow=Progress()),
        "both.left.a": StepState(StepStatus.CLAIMED, attempt=1, worker="w", claimed_at_ms=NOW_MS),
    }
    assert [(cause.cause, cause.step) for cause in why(instance(steps=steps)).causes] == [("lease", "both.left.a")]
    alone = {"both": steps["both"]}
    assert words(why(instance(steps=alone))) == ["inside"]


def test_children_explain_themselves() -> None:
    child = Explanation("00-2", "v", "waiting", "it waits")
    steps = {"call": StepState(StepStatus.WAITING, flow=Progress(children=(Child("00-2"), Child("00-3", 1)), count=20))}
    (cause,) = why(instance(steps=steps), children={"00-2": child}).causes
    assert (cause.cause, cause.holders, cause.children) == ("children", ["00-2", "00-3"], [child])
    assert "2 child instances of 20 items" in cause.text


def test_an_approval_without_a_plan_is_still_told() -> None:
    asked = StepState(StepStatus.WAITING, approval=Approval(asked_at_ms=NOW_MS))
    assert words(why(instance(InstanceStatus.WAITING, steps={"a": asked}))) == ["approval"]


def test_what_goes_on_by_itself_has_no_cause() -> None:
    answer = why(instance(steps={"a": StepState(StepStatus.SUCCEEDED), "b": StepState()}))
    assert (answer.causes, answer.summary) == ([], "nothing holds it up: it goes on by itself")


def test_an_instance_that_is_ending_says_as_what() -> None:
    state = StepState(StepStatus.CLAIMED, attempt=1, worker="w", claimed_at_ms=NOW_MS)
    one = instance(InstanceStatus.CANCELLING, ending=InstanceStatus.CANCELLED, steps={"book.compensate": state})
    assert why(one).summary.startswith("it will be cancelled once this is done: book.compensate: w works on it")


def test_small_words() -> None:
    assert [after(ms) for ms in (-1, 0, 999, 1_000, 59_999, 3_600_000, 90_000_000)] == [
        "now", "now", "in under a second", "in 1 s", "in 59 s", "in 1 h", "in 1 d",
    ]  # fmt: skip
    assert (counted(1, "step"), counted(0, "step")) == ("1 step", "0 steps")
    assert (listed([]), listed(["a"] * 7)) == ("nobody", "a, a, a, a, a and 2 more")
