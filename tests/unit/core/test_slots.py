"""Who of a concurrency group runs, waits or goes (`core.lanes.groups.slots`)."""

from __future__ import annotations

from random import Random

import pytest
from leasehold.core.lanes.groups.slots import GroupName, Slots, Strategy, Verdict


def slots(*members: str, running: int = 0, limit: int = 1) -> Slots:
    """A group whose first `running` members run, while the others wait, in this order."""
    found = Slots()
    for at_ms, member in enumerate(members):
        found.saw(member, at_ms, limit=limit, queued=at_ms >= running)
    return found


def test_groups_differ_by_tenant_workflow_and_key_and_by_where_one_ends() -> None:
    names = [GroupName("a", "b", "c"), GroupName("b", "b", "c"), GroupName("a", "bc", ""), GroupName("a", "b", "d")]

    assert len({name.id for name in names}) == 4
    assert GroupName("a", "b", "c").id == GroupName("a", "b", "c").id


def test_the_oldest_waiting_member_is_admitted_when_a_slot_is_free() -> None:
    group = slots("a", "b", "c", running=1)
    assert group.admissible() is None

    group.left("a")

    assert group.admissible() == "b"


def test_a_member_keeps_its_place_whenever_it_is_seen() -> None:
    group = Slots()
    for member, since_ms in (("late", 9), ("b", 5), ("a", 5), ("late", 9), ("early", 1)):
        group.saw(member, since_ms, limit=1, queued=True)

    assert group.queue == ["early", "a", "b", "late"]
    assert [group.position(member) for member in ("early", "late", "nobody")] == [0, 3, -1]


def test_a_younger_member_with_a_higher_limit_does_not_overtake() -> None:
    group = slots("a", "b", running=1, limit=1)
    group.saw("c", 9, limit=5, queued=True)

    assert group.admissible() is None
    group.left("b")
    assert group.admissible() == "c"


def test_one_that_was_told_to_go_holds_its_slot_until_it_has_ended_and_is_not_admitted() -> None:
    group = slots("a", "b", "c", running=1)
    group.leaving.update(("a", "b"))
    assert group.admissible() is None

    group.left("a")

    assert group.admissible() == "c"
    assert group.queue == ["c"]


def test_what_comes_later_is_never_older_than_what_is_there() -> None:
    group = slots("a", "b", running=1)

    assert group.next_ms(now_ms=0) == 2
    assert group.next_ms(now_ms=50) == 50
    for member in ("a", "b"):
        group.left(member)
    assert group.next_ms(now_ms=0) == 0


def test_a_group_is_empty_when_all_have_left_and_leaving_twice_does_nothing() -> None:
    group = slots("a", "b", running=1)
    for member in ("a", "b", "b", "nobody"):
        group.left(member)

    assert group.empty
    assert "a" not in group


@pytest.mark.parametrize("strategy", ["queue", "drop", "cancel_running", "replace_waiting"])
def test_nobody_goes_while_slots_are_free(strategy: Strategy) -> None:
    assert slots("a", "b", running=1, limit=3).join(3, strategy) == Verdict()


@pytest.mark.parametrize(
    ("members", "running", "limit", "strategy", "verdict"),
    [
        ("a", 1, 1, "queue", Verdict()),
        ("abc", 1, 1, "queue", Verdict()),
        ("a", 1, 1, "drop", Verdict(dropped=True)),
        ("ab", 1, 2, "drop", Verdict(dropped=True)),
        ("a", 1, 1, "cancel_running", Verdict(cancelled=("a",))),
        ("abc", 3, 3, "cancel_running", Verdict(cancelled=("a",))),
        ("ab", 1, 1, "cancel_running", Verdict(cancelled=("a", "b"))),
        ("abcd", 4, 2, "cancel_running", Verdict(cancelled=("a", "b", "c"))),
        ("a", 1, 1, "replace_waiting", Verdict()),
        ("ab", 1, 1, "replace_waiting", Verdict(cancelled=("b",))),
        ("abc", 1, 1, "replace_waiting", Verdict(cancelled=("b", "c"))),
        ("ab", 0, 1, "replace_waiting", Verdict(cancelled=("b",))),
    ],
)
def test_a_full_group_makes_room_as_its_strategy_says(
    members: str, running: int, limit: int, strategy: Strategy, verdict: Verdict
) -> None:
    assert slots(*members, running=running, limit=limit).join(limit, strategy) == verdict


def test_those_that_go_already_are_not_told_again() -> None:
    group = slots("a", running=1)
    assert group.join(1, "cancel_running").cancelled == ("a",)
    group.saw("b", 5, limit=1, queued=True)

    assert group.join(1, "cancel_running").cancelled == ("b",)
    assert group.join(1, "cancel_running").cancelled == ()


def test_with_all_slots_held_by_leaving_members_the_newest_still_stay() -> None:
    group = slots("a", "b", "c", "d", "e", running=5, limit=5)
    group.leaving.update(("a", "b"))

    assert group.join(5, "cancel_running") == Verdict()


def test_two_owners_that_know_the_same_documents_admit_the_same_members() -> None:
    random = Random(7)
    for _ in range(200):
        facts = [(f"{n}", random.randrange(9), random.random() < 0.3) for n in range(random.randrange(1, 9))]
        groups = []
        for _ in range(2):
            group = Slots()
            random.shuffle(facts)
            for member, since_ms, running in facts:
                group.saw(member, since_ms, limit=3, queued=not running)
            admitted = []
            while (member_next := group.admissible()) is not None:
                admitted.append(member_next)
                group.saw(member_next, {m: s for m, s, _ in facts}[member_next], limit=3, queued=False)
            groups.append(admitted)
            assert len(group.running) <= max(3, sum(running for _, _, running in facts))
        assert groups[0] == groups[1]
