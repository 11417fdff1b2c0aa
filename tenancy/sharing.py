"""What one replica makes of a quota's document, for its lanes: what they give, take, wait for and owe. Pure.

A lane has a claim to its fair part of a quota, which is divided among the lanes that have units or wait for some. More
than that it uses while nobody else wants it: an owner that is asked gives what its lanes do not need at once, and what
is above their fair part as it becomes free. With fewer units than lanes the fair part is 0, so the units go round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from .shares import (
    QuotaDocument,
    adopted,
    declared,
    emptied,
    fair_part,
    given_back,
    last_in_line,
    limited,
    refilled,
    shared_out,
    wanted,
    without_removed,
)


class Position(Struct, frozen=True, gc=False):
    """Where one of the replica's lanes stands.

    `used`: units that can't be given back now; `sure`: slots that the lane uses without doubt. `recent`: the most that
    were used within the last second or so. `wants`: how many more it wants. `rested`: it has had its units for long
    enough that others may have their turn. `lapses`: what it does not use goes back though nobody wants it. `tokens`:
    what its units of a rate are full of.
    """

    lane: str
    epoch: int
    used: int = 0
    sure: int = 0
    recent: int = 0
    wants: int = 0
    rested: bool = True
    lapses: bool = True
    tokens: float = 0.0


class Outcome(Struct, frozen=True):
    """What is to be written, and what follows once it is.

    `owed`: units that lanes are to give as they become free. `filled`: what the new units of lanes are full of.
    `restless`: a lane is to give units when it has had them for longer.
    """

    document: QuotaDocument
    owed: dict[str, int]
    filled: dict[str, float]
    restless: bool


def settled(
    found: QuotaDocument,
    positions: Sequence[Position],
    *,
    limit: int,
    as_of: int,
    removed: Callable[[str], bool],
) -> Outcome:
    """The document as these lanes' owner is to leave it. `limit` is by rules of sequence number `as_of`."""
    document = without_removed(limited(found, limit, as_of), removed)
    own = [position for position in positions if not document.lost(position.lane, position.epoch)]
    for one in own:
        document = adopted(document, one.lane, one.epoch)
        document = declared(document, one.lane, one.epoch, one.sure)
        document = wanted(document, one.lane, one.epoch, min(one.wants, document.limit))
    if document.over:
        return _cut(document, own)
    owed: dict[str, int] = {}
    restless = False
    idle = frozenset(one.lane for one in own if not (one.used or one.recent or one.wants))
    for one in own:
        units, due = _to_give(document, one, idle)
        restless |= due > 0 and not one.rested
        if one.rested and due > units:
            owed[one.lane] = due - units
        if units:
            document = last_in_line(given_back(document, one.lane, units), one.lane)
            document = refilled(document, one.tokens - document.units(one.lane))
    return _filled(shared_out(document, idle), own, owed, restless)


def _cut(document: QuotaDocument, own: Sequence[Position]) -> Outcome:
    """The limit is below what the lanes have: each goes down to its part of it, or to what it uses."""
    owed: dict[str, int] = {}
    for one in own:
        units = document.units(one.lane)
        part = document.limit * units // max(1, document.given)
        kept = max(min(units, one.used), part, units - document.over)
        if kept > part:
            owed[one.lane] = kept - part
        document = given_back(document, one.lane, units - kept)
    return _filled(document, own, owed, restless=False)


def _to_give(document: QuotaDocument, one: Position, idle: frozenset[str]) -> tuple[int, int]:
    """How many units the lane gives now, and how many others have a claim to."""
    units = document.units(one.lane)
    others = {lane: want for lane, want in document.wants.items() if lane != one.lane}
    needless = 0 if one.wants else max(0, units - max(one.used, one.recent))
    missing = sum(want.units for want in others.values()) - document.free
    gives = min(needless, missing) if missing > 0 else needless * one.lapses
    part = fair_part(document, idle)
    claims = (min(want.units, max(1, part) - document.units(lane)) for lane, want in others.items())
    due = min(units - part, sum(claim for claim in claims if claim > 0) - document.free)
    if one.rested:
        gives = max(gives, min(units - one.used, due))
    return gives, due


def _filled(document: QuotaDocument, own: Sequence[Position], owed: dict[str, int], restless: bool) -> Outcome:
    filled = {one.lane: document.filled[one.lane] for one in own if one.lane in document.filled}
    for lane in filled:
        document = emptied(document, lane)
    return Outcome(document, owed, filled, restless)
