"""What may become of a lane (`core.lanes.ownership.registry`)."""

from __future__ import annotations

import pytest
from leasehold.core.errors import Conflict, InvalidRequest, NotFound
from leasehold.core.lanes.ownership.registry import (
    Leaving,
    Registry,
    next_lanes,
    removable_at_ms,
    with_drained,
    with_draining,
    with_lanes,
    with_refilled,
    with_removing,
    without,
)

TWO = Registry(lanes=["00", "01"])
HOUR_MS = 3_600_000


def removing(registry: Registry, lane: str, now_ms: int, *, early: bool = False) -> Registry:
    return with_removing(registry, lane, now_ms, kept_ms=HOUR_MS, early=early, until="noon")


def test_lanes_are_numbered_on_and_a_removed_number_is_never_used_again() -> None:
    more = with_lanes(TWO, next_lanes(TWO, 2))
    assert more.lanes == ["00", "01", "02", "03"]
    less = without(more, "03")
    assert next_lanes(less, 1) == ["04"]
    assert less.was_removed("03")
    assert not less.was_removed("04")
    assert not less.was_removed("02")
    assert next_lanes(without(TWO, "01"), 1) == ["02"]


def test_no_more_lanes_than_are_allowed() -> None:
    assert len(next_lanes(TWO, 62)) == 62
    with pytest.raises(InvalidRequest, match="2 lanes exist and 99 are to be added; at most 64"):
        next_lanes(TWO, 99)


def test_a_draining_lane_takes_no_new_instances_and_draining_twice_changes_nothing() -> None:
    draining = with_draining(TWO, "01", 5)
    assert (draining.state("00"), draining.state("01"), draining.state("02")) == ("active", "draining", None)
    assert draining.active == ["00"]
    assert with_draining(draining, "01", 9) == draining


def test_the_last_active_lane_is_not_drained() -> None:
    draining = with_draining(TWO, "01", 5)
    with pytest.raises(Conflict, match="lane 00 is the only one that takes new instances; add another first"):
        with_draining(draining, "00", 6)


def test_what_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        with_draining(TWO, "07", 5)
    with pytest.raises(NotFound):
        removing(TWO, "07", 5)


def test_a_lane_is_removed_only_when_it_is_drained_and_was_kept_long_enough() -> None:
    with pytest.raises(Conflict, match="drain it first"):
        removing(TWO, "01", 5)
    draining = with_draining(TWO, "01", 5)
    with pytest.raises(Conflict, match="draining"):
        removing(draining, "01", HOUR_MS * 9, early=True)
    drained = with_drained(draining, "01", 10)
    assert removable_at_ms(drained, "01", HOUR_MS) == HOUR_MS + 10
    with pytest.raises(Conflict, match=r"kept until noon.*--yes"):
        removing(drained, "01", HOUR_MS + 9)
    going = removing(drained, "01", HOUR_MS + 10)
    assert going == removing(drained, "01", HOUR_MS + 10, early=True)
    assert going.state("01") == "removing"
    assert removing(going, "01", 0) == going


def test_a_lane_that_was_filled_again_drains_again() -> None:
    going = Registry(lanes=["00", "01"], leaving={"01": Leaving(state="removing", since_ms=1)})
    assert with_refilled(going, "01", 7).leaving["01"] == Leaving(state="draining", since_ms=7)
    assert with_refilled(TWO, "01", 7) == TWO
    assert with_drained(TWO, "01", 7) == TWO
