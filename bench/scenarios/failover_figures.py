"""What the sightings of the `failover` scenario come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from ..load.watch import Sighting


class LaneGap(Struct, frozen=True):
    """One lane around the end of a replica: the longest time between two claims of its work.

    `before_ms` is the longest such time while all replicas ran, `gap_ms` the longest from the signal on: it begins with
    the last claim before the signal, and ends with the observation where no claim came any more.
    """

    lane: str
    moved: bool
    claims: int
    before_ms: float
    gap_ms: float


def lane_gap(
    lane: str, arrivals_ns: Sequence[int], *, begin_ns: int, signal_ns: int, end_ns: int, moved: bool
) -> LaneGap:
    """`arrivals_ns` are when the lane's claims reached workers; `begin_ns` to `end_ns` is when all workers asked."""
    ordered = sorted(arrival for arrival in arrivals_ns if begin_ns <= arrival <= end_ns)
    before = [begin_ns, *(arrival for arrival in ordered if arrival <= signal_ns), signal_ns]
    since = [before[-2], *(arrival for arrival in ordered if arrival > signal_ns), end_ns]
    # The end of the observation is no claim: it counts only where it shows that claims had stopped for longer.
    return LaneGap(lane, moved, len(ordered), _longest_ms(before), _longest_ms(since))


def run_again(sightings: Sequence[Sighting]) -> int:
    """Steps that were handed out after their completion had been acknowledged."""
    acknowledged: dict[int, int] = {}
    for sighting in sightings:
        if sighting.completion == 200:
            first = acknowledged.get(sighting.number, sighting.completed_ns)
            acknowledged[sighting.number] = min(first, sighting.completed_ns)
    return sum(
        sighting.number in acknowledged and sighting.arrived_ns > acknowledged[sighting.number]
        for sighting in sightings
    )


def _longest_ms(moments_ns: Sequence[int]) -> float:
    return round(max(later - earlier for earlier, later in pairwise(moments_ns)) / 1e6, 1)
