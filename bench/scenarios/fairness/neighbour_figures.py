"""What a neighbour's waiting work does to the times of somebody else's starts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct

from ...load import Spread, Timed, latencies_from_due, spread
from ...load.orders import Claim, Start


class Side(Struct, frozen=True):
    """One span of starts: in the installation with the full backlog, or in the one without any."""

    executors: str
    pair: int
    full: bool
    starts: list[Start]


class Pair(Struct, frozen=True):
    """Times from a start being due to its claim's arrival, on either side."""

    executors: str
    pair: int
    starts_a_side: int
    empty_p50_ms: float
    full_p50_ms: float
    empty_p99_ms: float
    full_p99_ms: float
    p99_ratio: float


class Variant(Struct, frozen=True):
    """All pairs of one kind of executors. `p99_ratio` is the median of the pairs'; `pooled_` takes them as one."""

    executors: str
    pairs: int
    starts_a_side: int
    empty_p50_ms: float
    full_p50_ms: float
    empty_p99_ms: float
    full_p99_ms: float
    pooled_p99_ratio: float
    p99_ratio: float


def pairs_of(sides: Sequence[Side], claims: Iterable[Claim], until_ns: int) -> list[Pair]:
    """`until_ns`: what was not claimed by then never was. Pairs of which a side is missing are left out."""
    first_claims = _first_claims(claims)
    found = []
    for executors, pair in dict.fromkeys((side.executors, side.pair) for side in sides):
        spreads = {
            side.full: _spread([side], first_claims, until_ns)
            for side in sides
            if (side.executors, side.pair) == (executors, pair)
        }
        empty, full = spreads.get(False), spreads.get(True)
        if empty is not None and full is not None:
            ratio = round(full.p99_ms / empty.p99_ms, 3)
            found.append(
                Pair(executors, pair, empty.count, empty.p50_ms, full.p50_ms, empty.p99_ms, full.p99_ms, ratio)
            )
    return found


def variants_of(sides: Sequence[Side], claims: Iterable[Claim], until_ns: int) -> list[Variant]:
    """One for each kind of executors that has a pair."""
    claims = list(claims)
    first_claims = _first_claims(claims)
    found = []
    for executors in dict.fromkeys(side.executors for side in sides):
        own = [side for side in sides if side.executors == executors]
        pairs = pairs_of(own, claims, until_ns)
        empty = _spread([side for side in own if not side.full], first_claims, until_ns)
        full = _spread([side for side in own if side.full], first_claims, until_ns)
        if pairs and empty is not None and full is not None:
            found.append(
                Variant(
                    executors=executors,
                    pairs=len(pairs),
                    starts_a_side=empty.count,
                    empty_p50_ms=empty.p50_ms,
                    full_p50_ms=full.p50_ms,
                    empty_p99_ms=empty.p99_ms,
                    full_p99_ms=full.p99_ms,
                    pooled_p99_ratio=round(full.p99_ms / empty.p99_ms, 3),
                    p99_ratio=round(median(pair.p99_ratio for pair in pairs), 3),
                )
            )
    return found


def wrong_probes(starts: Iterable[Start], claims: Iterable[Claim]) -> dict[str, int]:
    """What must never happen to the starts and claims of the tenant whose times are measured."""
    starts, claims = list(starts), list(claims)
    acknowledged = {start.number for start in starts if start.timed.done_ns is not None}
    times = Counter(claim.number for claim in claims)
    return {
        "lost": len(acknowledged - times.keys()),
        "doubled": times.total() - len(times),
        "starts_refused": sum(start.status not in (0, 201) for start in starts),
        "completions_refused": sum(claim.completion != 200 for claim in claims),
    }


def _first_claims(claims: Iterable[Claim]) -> dict[int, Claim]:
    return {claim.number: claim for claim in sorted(claims, key=lambda claim: -claim.arrived_ns)}


def _spread(sides: Iterable[Side], first_claims: dict[int, Claim], until_ns: int) -> Spread | None:
    timed = []
    for start in (start for side in sides for start in side.starts):
        claim = first_claims.get(start.number)
        timed.append(Timed(start.timed.due_ns, start.timed.sent_ns, None if claim is None else claim.arrived_ns))
    return spread(latencies_from_due(timed, until_ns))
