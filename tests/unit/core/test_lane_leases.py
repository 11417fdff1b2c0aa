from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.lanes.ownership.control import LaneLease, wanted_leases
from leasehold.core.lanes.ownership.membership import assignment

LEASE_MS = 10_000


def wanted(owner: str | None, unchanged_since_ms: int, *, at_ms: int, target: str = "me") -> str | None:
    leases = {"00": (LaneLease(lane="00", owner=owner, epoch=3), unchanged_since_ms)}
    return wanted_leases(leases, {"00": target}, me="me", lease_ms=LEASE_MS, now_ms=at_ms).get("00")


def test_own_leases_are_renewed_and_free_ones_taken() -> None:
    assert wanted("me", 0, at_ms=1) == "renew"
    assert wanted(None, 0, at_ms=1) == "take"


def test_anothers_lease_is_left_alone_until_it_has_not_changed_for_the_lease_time() -> None:
    assert wanted("other", 500, at_ms=10_499) is None
    assert wanted("other", 500, at_ms=10_500) == "take"


def test_a_lane_that_should_be_anothers_is_not_taken() -> None:
    assert wanted(None, 0, at_ms=1, target="other") is None
    assert wanted("dead", 0, at_ms=60_000, target="other") is None


names = st.sets(st.text("abcdef0123456789", min_size=1, max_size=6), max_size=12)


@given(names, names)
def test_every_lane_has_one_owner_and_no_replica_has_more_than_one_lane_above_any_other(
    lanes: set[str], replicas: set[str]
) -> None:
    owners = assignment(lanes, replicas)
    if not replicas:
        assert owners == {}
        return
    assert set(owners) == lanes
    counts = Counter(dict.fromkeys(replicas, 0)) + Counter(owners.values())
    loads = [counts[replica] for replica in replicas]
    assert max(loads) - min(loads) <= 1


@given(names.filter(bool), names.filter(bool))
def test_all_replicas_compute_the_same_whatever_the_order(lanes: set[str], replicas: set[str]) -> None:
    assert assignment(sorted(lanes), sorted(replicas)) == assignment(
        sorted(lanes, reverse=True), sorted(replicas, reverse=True)
    )


def test_a_replica_that_joins_moves_few_lanes() -> None:
    lanes = [f"{n:02d}" for n in range(12)]
    before = assignment(lanes, ["a", "b", "c"])
    after = assignment(lanes, ["a", "b", "c", "d"])
    moved = [lane for lane in lanes if before[lane] != after[lane]]
    assert len(moved) <= 5
    assert Counter(after.values()) == {"a": 3, "b": 3, "c": 3, "d": 3}
