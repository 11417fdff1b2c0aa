from leasehold.core.lanes.control import LaneLease, Observation, wanted_leases
from leasehold.core.ports import Version


def seen(lane: str, owner: str | None, unchanged_since_ms: int) -> Observation:
    return Observation(LaneLease(lane=lane, owner=owner, epoch=3), Version(1, 1), unchanged_since_ms)


def wanted(*observed: Observation, at_ms: int) -> list[tuple[str, str]]:
    leases = wanted_leases(observed, me="me", lease_ms=10_000, monotonic_ms=at_ms)
    return [(observation.lease.lane, action) for observation, action in leases]


def test_own_leases_are_renewed_and_free_ones_taken() -> None:
    assert wanted(seen("00", "me", 0), seen("01", None, 0), at_ms=1) == [("00", "renew"), ("01", "take")]


def test_anothers_lease_is_left_alone_until_it_has_not_changed_for_the_lease_time() -> None:
    assert wanted(seen("00", "other", 500), at_ms=10_499) == []
    assert wanted(seen("00", "other", 500), at_ms=10_500) == [("00", "take")]
