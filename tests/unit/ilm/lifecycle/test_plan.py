"""What is due: for any policy, any indices and any time, and for a few by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.ilm.lifecycle.ager.plan import due, standing
from leasehold.ilm.lifecycle.ager.steps import Block, Merge, Remove, Roll, Settle, Step
from leasehold.ilm.lifecycle.facts import FamilyFacts, IndexFacts
from leasehold.ilm.policies import ALLOWED, PHASES, Policy, min_age_ms

ALIAS = "workflow-steps"
HOUR_MS = 3_600_000

PARAMETERS: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "rollover": st.just({"max_docs": 10}),
    "set_priority": st.fixed_dictionaries({"priority": st.sampled_from([None, 0, 50, 100])}),
    "allocate": st.sampled_from(
        [
            {"number_of_replicas": 0},
            {"number_of_replicas": 2, "include": {"box": "big"}},
            {"require": {"box": "small"}, "total_shards_per_node": 1},
        ]
    ),
    "forcemerge": st.fixed_dictionaries({"max_num_segments": st.sampled_from([1, 5])}),
    "shrink": st.just({"number_of_shards": 1}),
    "searchable_snapshot": st.just({"snapshot_repository": "found"}),
    "downsample": st.just({"fixed_interval": "1h"}),
    "migrate": st.fixed_dictionaries({"enabled": st.booleans()}),
    "wait_for_snapshot": st.just({"policy": "nightly"}),
}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that rolls over, its ages in hours; also with ages that fall, which `parse` would refuse."""
    phases: dict[str, Any] = {}
    for phase in PHASES:
        if phase != "hot" and not draw(st.booleans()):
            continue
        chosen = draw(st.sets(st.sampled_from(ALLOWED[phase])))
        names = chosen | {"hot": {"rollover"}, "delete": {"delete"}}.get(phase, set())
        actions = {name: draw(PARAMETERS.get(name, st.just({}))) for name in sorted(names)}
        age = 0 if phase == "hot" else draw(st.integers(0, 6))
        phases[phase] = {"min_age": f"{age}h", "actions": actions}
    return Policy("steps", phases)


@st.composite
def indices(draw: st.DrawFn, number: int, writes: bool) -> IndexFacts:
    settings = {"index.number_of_shards": str(draw(st.sampled_from([1, 1, 3]))), "index.auto_expand_replicas": "0-1"}
    if draw(st.booleans()):
        settings["index.priority"] = draw(st.sampled_from(["0", "50", "100"]))
    if draw(st.booleans()):
        settings["index.blocks.write"] = "true"
    # One that rolled over long ago may be written to: somebody pointed the alias back at it.
    never_rolled = draw(st.booleans()) if writes else draw(st.integers(0, 4)) == 0
    return IndexFacts(
        index=f"{ALIAS}-{number:06d}",
        number=number,
        is_write_index=writes,
        created_at_ms=0,
        rolled_at_ms=None if never_rolled else draw(st.integers(0, 8)) * HOUR_MS,
        settings=settings,
        segments=draw(st.integers(0, 8)),
    )


@st.composite
def families(draw: st.DrawFn) -> FamilyFacts:
    count = draw(st.integers(1, 4))
    writing = draw(st.integers(1, count))
    found = tuple(draw(indices(number, number == writing)) for number in range(1, count + 1))
    return FamilyFacts("steps", ALIAS, found, highest=count + draw(st.integers(0, 2)))


TIMES = st.sampled_from([20, 12, 8, 6, 4, 2, 1, 0]).map(lambda hours: hours * HOUR_MS)


def carried_out(family: FamilyFacts, step: Step) -> FamilyFacts:
    """What stands after Elasticsearch has done it. No condition of a roll-over is ever met here."""
    kept = []
    for index in family.indices:
        if index.index != step.index:
            kept.append(index)
            continue
        settings = dict(index.settings)
        match step:
            case Remove():
                continue
            case Settle():
                for name, value in step.settings.items():
                    settings.pop(name, None)
                    if value is not None:
                        settings[name] = value
                kept.append(replace(index, settings=settings))
            case Block():
                kept.append(replace(index, settings=settings | {"index.blocks.write": "true"}))
            case Merge():
                kept.append(replace(index, merging=True))
            case Roll():
                kept.append(index)
    return replace(family, indices=tuple(kept))


def merged(family: FamilyFacts) -> FamilyFacts:
    """Every force-merge has come to its end."""
    done = [replace(one, merging=False, segments=1) if one.merging else one for one in family.indices]
    return replace(family, indices=tuple(done))


@given(policies(), families(), TIMES)
def test_the_write_index_is_only_rolled_over_and_given_its_priority(
    policy: Policy, family: FamilyFacts, now_ms: int
) -> None:
    writing = family.write_index
    assert writing is not None
    for step in due(policy, family, now_ms):
        assert (step.index == writing.index) == isinstance(step, Roll) or step.action == "set_priority"
        assert not (step.index == writing.index and isinstance(step, Remove | Block | Merge))


@given(policies(), families(), TIMES)
def test_nothing_is_deleted_before_its_time_has_come(policy: Policy, family: FamilyFacts, now_ms: int) -> None:
    facts = {index.index: index for index in family.indices}
    for step in due(policy, family, now_ms):
        if isinstance(step, Remove):
            rolled_at_ms = facts[step.index].rolled_at_ms
            assert rolled_at_ms is not None
            ages = [min_age_ms(policy, phase) or 0 for phase in PHASES if phase in policy.phases]
            assert now_ms >= rolled_at_ms + max(ages)
            assert "delete" in policy.actions("delete")
            assert "wait_for_snapshot" not in policy.actions("delete")


@given(policies(), families(), TIMES, st.integers(0, 30))
def test_an_ager_that_dies_anywhere_leaves_the_rest_due_and_nothing_twice(
    policy: Policy, family: FamilyFacts, now_ms: int, last: int
) -> None:
    steps = due(policy, family, now_ms)
    for step in steps[:last]:
        family = carried_out(family, step)
    asked_again = [step for step in steps[:last] if isinstance(step, Roll)]

    left = due(policy, family, now_ms)
    assert sorted(map(repr, left)) == sorted(map(repr, [*asked_again, *steps[last:]]))


@given(policies(), families(), st.lists(TIMES, min_size=1, max_size=6))
def test_what_was_done_is_not_due_again_whatever_comes_later(
    policy: Policy, family: FamilyFacts, times: list[int]
) -> None:
    seen: set[tuple[str, str, str]] = set()
    for now_ms in sorted(times):
        for _ in range(4):
            for step in due(policy, family, now_ms):
                if not isinstance(step, Roll):
                    assert (step.index, step.phase, step.action) not in seen
                    seen.add((step.index, step.phase, step.action))
                family = carried_out(family, step)
            family = merged(family)
    assert [step for step in due(policy, family, max(times)) if not isinstance(step, Roll)] == []


@given(policies(), families(), TIMES)
def test_steps_come_oldest_index_first_and_in_the_order_of_phases_and_actions(
    policy: Policy, family: FamilyFacts, now_ms: int
) -> None:
    steps = due(policy, family, now_ms)
    order = [(int(step.index[-6:]), PHASES.index(step.phase), ALLOWED[step.phase].index(step.action)) for step in steps]
    assert order == sorted(order)


@given(policies(), families(), TIMES)
def test_an_index_that_never_rolled_over_and_is_not_written_to_does_not_age(
    policy: Policy, family: FamilyFacts, now_ms: int
) -> None:
    for index in family.indices:
        if index.rolled_at_ms is None and not index.is_write_index:
            assert {step.action for step in standing(policy, family, index, now_ms).due} <= {"set_priority"}


@given(policies(), families(), TIMES)
def test_without_a_write_index_nothing_is_due(policy: Policy, family: FamilyFacts, now_ms: int) -> None:
    without = tuple(replace(index, is_write_index=False) for index in family.indices)
    assert due(policy, replace(family, indices=without), now_ms) == []


@given(policies(), families(), TIMES)
def test_every_action_of_an_entered_phase_is_accounted_for(policy: Policy, family: FamilyFacts, now_ms: int) -> None:
    """Done, due or left out with the reason, unless it comes behind a force-merge or before a deletion."""
    for index in family.indices:
        found = standing(policy, family, index, now_ms)
        if any(isinstance(step, Merge | Roll | Remove) for step in found.due) or index.rolled_at_ms is None:
            continue
        told = {*found.done, *(f"{step.phase}.{step.action}" for step in found.due)}
        told |= {one.partition(":")[0] for one in found.left_out}
        entered = PHASES[: PHASES.index(found.phase) + 1]
        wanted = {f"{phase}.{action}" for phase in entered for action in policy.actions(phase)}
        # One block does for the `readonly` of several phases.
        assert {one for one in wanted - told if not one.endswith(".readonly")} <= {"delete.delete"}


def an_index(number: int = 1, **changes: Any) -> IndexFacts:
    settings = {"index.number_of_shards": "1", **changes.pop("settings", {})}
    facts = IndexFacts(
        index=f"{ALIAS}-{number:06d}",
        number=number,
        is_write_index=False,
        created_at_ms=0,
        rolled_at_ms=0,
        settings=settings,
        segments=3,
    )
    return replace(facts, **changes)


def family_of(*found: IndexFacts) -> FamilyFacts:
    writing = an_index(9, is_write_index=True, rolled_at_ms=None)
    return FamilyFacts("steps", ALIAS, (*found, writing), highest=9)


def policy_of(**phases: dict[str, Any]) -> Policy:
    return Policy("steps", {"hot": {"actions": {"rollover": {"max_docs": 1}}}, **phases})


def test_the_next_index_is_named_by_the_highest_number_that_there_is() -> None:
    [roll] = due(policy_of(), replace(family_of(), highest=12), 0)
    assert isinstance(roll, Roll)
    assert (roll.alias, roll.next_index) == (ALIAS, f"{ALIAS}-000013")


def test_an_old_index_that_is_written_to_again_does_not_age() -> None:
    """Somebody pointed the alias back at it."""
    policy = policy_of(warm={"actions": {"readonly": {}}}, delete={"min_age": "1h", "actions": {"delete": {}}})
    written = an_index(is_write_index=True)
    family = FamilyFacts("steps", ALIAS, (written, an_index(2)), highest=2)
    assert [(step.index[-6:], step.action) for step in due(policy, family, HOUR_MS)] == [
        ("000001", "rollover"),
        ("000002", "delete"),
    ]


def test_a_later_phase_does_not_come_before_an_earlier_one() -> None:
    """`delete` without an age follows on `warm`, as with ILM."""
    policy = policy_of(
        warm={"min_age": "5h", "actions": {"readonly": {}}}, delete={"min_age": "0ms", "actions": {"delete": {}}}
    )
    family = family_of(an_index())
    assert [step.action for step in due(policy, family, 5 * HOUR_MS - 1)] == ["rollover"]
    assert [step.action for step in due(policy, family, 5 * HOUR_MS)] == ["delete", "rollover"]


def test_the_next_phase_is_told_with_its_time_which_is_not_before_that_of_an_earlier_one() -> None:
    policy = policy_of(warm={"min_age": "5h", "actions": {}}, cold={"min_age": "2h", "actions": {}})
    index = an_index()
    found = standing(policy, family_of(index), index, 3 * HOUR_MS)
    assert (found.phase, found.next_phase, found.next_at_ms) == ("hot", "warm", 5 * HOUR_MS)
    later = standing(replace(policy, phases={**policy.phases, "warm": {"min_age": "1h"}}), family_of(index), index, 0)
    assert (later.next_phase, later.next_at_ms) == ("warm", HOUR_MS)
    found = standing(policy, family_of(index), index, 5 * HOUR_MS)
    assert (found.phase, found.next_phase) == ("cold", None)


def test_what_this_backend_leaves_out_is_told_with_the_reason() -> None:
    actions = {"shrink": {"number_of_shards": 1}, "forcemerge": {"max_num_segments": 1, "index_codec": "best"}}
    policy = policy_of(
        warm={"actions": {**actions, "migrate": {}}},
        delete={"min_age": "1h", "actions": {"wait_for_snapshot": {"policy": "nightly"}, "delete": {}}},
    )
    index = an_index(settings={"index.number_of_shards": "2"}, segments=1)
    found = standing(policy, family_of(index), index, HOUR_MS)

    assert [one.partition(":")[0] for one in found.left_out] == [
        "warm.migrate",
        "warm.shrink",
        "warm.forcemerge.index_codec",
        "delete.wait_for_snapshot",
    ]
    assert found.due == ()


def test_an_index_of_one_shard_needs_no_shrinking() -> None:
    policy = policy_of(warm={"actions": {"shrink": {"number_of_shards": 1}}})
    index = an_index()
    found = standing(policy, family_of(index), index, 0)
    assert (found.done, found.left_out) == (("hot.rollover", "warm.shrink"), ())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"closed": True}, "it is closed"),
        ({"segments": None}, "none of its copies is started"),
        ({"settings": {"index.blocks.read_only": "true"}}, "has index.blocks.read_only"),
        ({"settings": {"index.blocks.metadata": "true"}}, "has index.blocks.metadata"),
        ({"settings": {"index.blocks.read_only_allow_delete": "true"}}, "has index.blocks.read_only_allow_delete"),
    ],
)
def test_what_would_be_refused_is_not_asked_for_but_told(changes: dict[str, Any], sentence: str) -> None:
    policy = policy_of(warm={"actions": {"forcemerge": {"max_num_segments": 1}}})
    index = an_index(**changes)
    found = standing(policy, family_of(index), index, 0)
    assert found.due == ()
    assert found.held is not None
    assert sentence in found.held


def test_a_disk_that_is_full_does_not_keep_old_indices_from_being_deleted() -> None:
    policy = policy_of(delete={"min_age": "1h", "actions": {"delete": {}}})
    index = an_index(settings={"index.blocks.read_only_allow_delete": "true"})
    assert standing(policy, family_of(index), index, HOUR_MS).due == (Remove("steps", index.index),)


def test_nothing_follows_on_a_force_merge_until_it_is_done_but_a_deletion() -> None:
    policy = policy_of(
        warm={"actions": {"forcemerge": {"max_num_segments": 1}}},
        cold={"min_age": "1h", "actions": {"set_priority": {"priority": 0}}},
        delete={"min_age": "2h", "actions": {"delete": {}}},
    )
    index = an_index(merging=True)
    assert standing(policy, family_of(index), index, HOUR_MS).under_way == "warm.forcemerge"
    assert standing(policy, family_of(index), index, HOUR_MS).due == ()
    assert standing(policy, family_of(index), index, 2 * HOUR_MS).due == (Remove("steps", index.index),)


def test_a_policy_that_keeps_for_ever_deletes_nothing() -> None:
    policy = policy_of(warm={"actions": {"readonly": {}}})
    index = an_index(settings={"index.blocks.write": "true"})
    found = standing(policy, family_of(index), index, 10**15)
    assert (found.due, found.next_phase, found.next_at_ms) == ((), None, None)
