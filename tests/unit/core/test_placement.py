from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from leasehold.core.lanes.placement import FULL_CHANGED, TURN_INSTANCES, TURN_MS, Placement


@dataclass
class WritingLane:
    name: str
    changed: int = 0


def placed(placement: Placement, lanes: list[WritingLane], instances: int = 1, *, now_ms: int = 0) -> str:
    return placement.choose(lanes, instances, now_ms=now_ms).name


def test_instances_stay_in_one_lane_for_a_turn_and_all_lanes_have_theirs() -> None:
    lanes, placement = [WritingLane(name) for name in ("00", "01", "02")], Placement()
    chosen = [placed(placement, lanes) for _ in range(6 * TURN_INSTANCES)]
    assert chosen[:TURN_INSTANCES] == ["00"] * TURN_INSTANCES
    assert Counter(chosen) == dict.fromkeys(("00", "01", "02"), 2 * TURN_INSTANCES)


def test_a_turn_is_over_after_its_time_so_that_few_starts_are_spread_evenly() -> None:
    lanes, placement = [WritingLane(name) for name in ("00", "01")], Placement()
    assert [placed(placement, lanes, now_ms=n * TURN_MS // 2) for n in range(6)] == ["00", "00", "01", "01", "00", "00"]
    assert [placed(placement, lanes, now_ms=n * TURN_MS) for n in range(10, 14)] == ["01", "00", "01", "00"]


def test_a_lane_whose_writes_are_full_passes_its_turn_on() -> None:
    lanes, placement = [WritingLane(name) for name in ("00", "01")], Placement()
    assert placed(placement, lanes) == "00"
    lanes[0].changed = FULL_CHANGED
    assert placed(placement, lanes) == "01"
    lanes[1].changed = FULL_CHANGED
    assert placed(placement, lanes) == "00"


def test_many_at_once_use_up_a_turn_together() -> None:
    lanes, placement = [WritingLane(name) for name in ("00", "01")], Placement()
    assert [placed(placement, lanes, TURN_INSTANCES) for _ in range(4)] == ["00", "01", "00", "01"]


def test_a_lane_that_is_gone_has_no_turn() -> None:
    lanes, placement = [WritingLane(name) for name in ("00", "01", "02")], Placement()
    placed(placement, lanes, TURN_INSTANCES)
    assert placed(placement, lanes) == "01"
    assert placed(placement, [lanes[0], lanes[2]]) == "02"
    assert placed(placement, [lanes[0]]) == "00"
