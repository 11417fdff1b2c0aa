"""What the samples of the `history` scenario come to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct

from ...load import Spread, Timed, latencies_from_due, spread
from ...load.history.orders import Row
from ...load.orders import Claim, Start

CALM = "calm"
AGEING = "ageing"


class Side(Struct, frozen=True):
    """One span of starts. `kind`: calm, or with history ageing; `aged` is what was asked of Elasticsearch meanwhile."""

    pair: int
    kind: str
    starts: list[Start]
    aged: dict[str, int]


class Span(Struct, frozen=True):
    """From a start being due to its claim's arrival, in one span. `starts` without an answer count as slow ones."""

    pair: int
    kind: str
    starts: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    rollovers: int
    merges: int
    deletes: int


class Aged(Struct, frozen=True):
    """`p99_ratio` is the median over pairs of ageing to calm; `pooled_p99_ratio` takes all spans of a kind as one."""

    pairs: int
    calm_p99_ms: float | None
    ageing_p99_ms: float | None
    pooled_p99_ratio: float | None
    p99_ratio: float | None


class Delays(Struct, frozen=True):
    """From the acknowledged completion of an instance to its row, in milliseconds.

    `readable`: by id, in its concrete index; `searchable`: found by a search. `never` counts rows that did not come.
    """

    instances: int
    readable: Spread | None
    searchable: Spread | None
    never: int


def spans_of(sides: Sequence[Side], claims: Iterable[Claim], until_ns: int) -> list[Span]:
    """`until_ns`: what was not claimed by then never was."""
    first = first_claims(claims)
    found = []
    for side in sides:
        one = _spread([side], first, until_ns)
        if one is not None:
            aged = (side.aged.get(name, 0) for name in ("rollover", "merge", "delete"))
            found.append(Span(side.pair, side.kind, one.count, one.p50_ms, one.p99_ms, one.max_ms, *aged))
    return found


def aged_of(sides: Sequence[Side], claims: Iterable[Claim], until_ns: int) -> Aged:
    """Pairs of which a side is missing are left out."""
    first = first_claims(claims)
    ratios = []
    for pair in dict.fromkeys(side.pair for side in sides):
        both = {side.kind: _spread([side], first, until_ns) for side in sides if side.pair == pair}
        calm, ageing = both.get(CALM), both.get(AGEING)
        if calm is not None and ageing is not None:
            ratios.append(ageing.p99_ms / calm.p99_ms)
    pooled = {kind: _spread([side for side in sides if side.kind == kind], first, until_ns) for kind in (CALM, AGEING)}
    calm, ageing = pooled[CALM], pooled[AGEING]
    return Aged(
        len(ratios),
        None if calm is None else calm.p99_ms,
        None if ageing is None else ageing.p99_ms,
        None if calm is None or ageing is None else round(ageing.p99_ms / calm.p99_ms, 3),
        round(median(ratios), 3) if ratios else None,
    )


def delays_of(rows: Sequence[Row], until_ns: int) -> Delays:
    """A row that never came counts as one that took until `until_ns`. A row before the answer to its completion: 0."""
    readable = [max(0, (row.readable_ns or until_ns) - row.completed_ns) for row in rows]
    searchable = [max(0, (row.searchable_ns or until_ns) - row.completed_ns) for row in rows]
    never = sum(not row.readable_ns or not row.searchable_ns for row in rows)
    return Delays(len(rows), spread(readable), spread(searchable), never)


def first_claims(claims: Iterable[Claim]) -> dict[int, Claim]:
    """Of each number the claim that came first."""
    return {claim.number: claim for claim in sorted(claims, key=lambda claim: -claim.arrived_ns)}


def _spread(sides: Sequence[Side], first: dict[int, Claim], until_ns: int) -> Spread | None:
    timed = [
        Timed(start.timed.due_ns, start.timed.sent_ns, None if claim is None else claim.arrived_ns)
        for side in sides
        for start in side.starts
        for claim in (first.get(start.number),)
    ]
    return spread(latencies_from_due(timed, until_ns)) if timed else None
