"""The document of one quota: which lane has how many of its units, and which lanes wait for more. Pure.

Every write leaves the sum of the shares at most at the limit; where a limit was lowered, or lanes use more than a new
one allows, no write lets the sum grow but by what a lane says that it uses already. A lane's entry is changed by its
owner alone, and by others in two ways: they add units to it while it waits, and strike it off once the lane is gone.
Nothing here changes an entry of a higher epoch than its lane's owner has.

What is asked of a document returns another one, or the same (`is`) where nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

FREE = "free"
Entry = TypeVar("Entry")


class Share(Struct, frozen=True, array_like=True, gc=False):
    """Units of a lane, or as many as it wants; `epoch` is that of the owner who said so."""

    epoch: int
    units: int


class QuotaDocument(Struct, frozen=True, kw_only=True):
    """A quota's document in the control index.

    `limit` is by rules of sequence number `as_of`. `wants` stand in order of asking. `filled` is what a rate's units
    are full of that nobody holds in memory: under `free` that of free units, else that of units on their way to a lane.
    """

    kind: Literal["quota"] = "quota"
    limit: int
    as_of: int
    shares: dict[str, Share] = {}
    wants: dict[str, Share] = {}
    filled: dict[str, float] = {}

    @property
    def given(self) -> int:
        """How many units all lanes have together."""
        return sum(share.units for share in self.shares.values())

    @property
    def free(self) -> int:
        return max(0, self.limit - self.given)

    @property
    def over(self) -> int:
        """How many units more than allowed the lanes have."""
        return max(0, self.given - self.limit)

    def units(self, lane: str) -> int:
        share = self.shares.get(lane)
        return 0 if share is None else share.units

    def lost(self, lane: str, epoch: int) -> bool:
        """Whether a later owner of the lane has been here."""
        return any(entry is not None and entry.epoch > epoch for entry in (self.shares.get(lane), self.wants.get(lane)))


def limited(document: QuotaDocument, limit: int, as_of: int) -> QuotaDocument:
    """Under the limit that these rules set, unless the document's is by later ones."""
    if as_of <= document.as_of or limit == document.limit:
        return document
    return _tidy(replace(document, limit=limit, as_of=as_of))


def without_removed(document: QuotaDocument, removed: Callable[[str], bool]) -> QuotaDocument:
    """Without lanes that do not exist any more."""
    gone = {lane for lane in (*document.shares, *document.wants) if removed(lane)}
    return _without(document, gone) if gone else document


def adopted(document: QuotaDocument, lane: str, epoch: int) -> QuotaDocument:
    """The lane's units under its new owner's epoch; what an earlier one wanted is forgotten."""
    share, want = document.shares.get(lane), document.wants.get(lane)
    if want is not None and want.epoch < epoch:
        document = replace(document, wants=_less(document.wants, lane))
    if share is not None and share.epoch < epoch:
        document = _with_share(document, lane, Share(epoch, share.units))
    return document


def declared(document: QuotaDocument, lane: str, epoch: int, used: int) -> QuotaDocument:
    """The lane uses more than its units, since before the quota was in force: it has them, whatever the limit."""
    return _with_share(document, lane, Share(epoch, used)) if used > document.units(lane) else document


def wanted(document: QuotaDocument, lane: str, epoch: int, units: int) -> QuotaDocument:
    """The lane waits for more units, in its place if it did before; 0 units: it waits no longer."""
    if units <= 0:
        return replace(document, wants=_less(document.wants, lane)) if lane in document.wants else document
    want = Share(epoch, units)
    if document.wants.get(lane) == want:
        return document
    return replace(document, wants={**document.wants, lane: want})


def last_in_line(document: QuotaDocument, lane: str) -> QuotaDocument:
    """A lane that waits and gives others their turn waits behind them."""
    want = document.wants.get(lane)
    return document if want is None else replace(document, wants={**_less(document.wants, lane), lane: want})


def given_back(document: QuotaDocument, lane: str, units: int) -> QuotaDocument:
    """The lane has so many units less."""
    if units <= 0:
        return document
    share = document.shares[lane]
    return _with_share(document, lane, Share(share.epoch, share.units - units))


def refilled(document: QuotaDocument, tokens: float) -> QuotaDocument:
    """What a rate's units were full of when they were given back."""
    if tokens <= 0:
        return document
    return _tidy(replace(document, filled={**document.filled, FREE: document.filled.get(FREE, 0.0) + tokens}))


def emptied(document: QuotaDocument, lane: str) -> QuotaDocument:
    """The lane has what its new units were full of."""
    return replace(document, filled=_less(document.filled, lane)) if lane in document.filled else document


def shared_out(document: QuotaDocument, idle: frozenset[str] = frozenset()) -> QuotaDocument:
    """What is free goes to the lanes that wait, in their order: each gets its part of what is left, at least one.

    First come those that have less than their fair part.
    """
    part = max(1, fair_part(document, idle))
    below = {lane: part - document.units(lane) for lane in document.wants if document.units(lane) < part}
    document = _handed_round(document, below)
    return _handed_round(document, {lane: want.units for lane, want in document.wants.items()})


def _handed_round(document: QuotaDocument, most: Mapping[str, int]) -> QuotaDocument:
    """Free units go to these lanes, of those that wait, at most so many to each."""
    for place, (lane, bound) in enumerate(most.items()):
        free = document.free
        if not free:
            break
        want = document.wants[lane]
        units = min(want.units, bound, -(-free // (len(most) - place)))
        document = _handed(document, lane, want.epoch, units, free)
    return document


def fair_part(document: QuotaDocument, idle: frozenset[str] = frozenset()) -> int:
    """How many units each lane has a claim to that has some or waits, but for those that are known to be idle."""
    lanes = (document.shares.keys() | document.wants.keys()) - idle
    return document.limit // max(1, len(lanes))


def _handed(document: QuotaDocument, lane: str, epoch: int, units: int, free: int) -> QuotaDocument:
    """Free units go to a lane with what they are full of, and the lane waits no longer."""
    share = document.shares.get(lane)
    pool = document.filled.get(FREE, 0.0)
    tokens = min(float(units), pool) if units < free else pool
    filled = dict(document.filled)
    if tokens:
        filled[FREE] = pool - tokens
        filled[lane] = filled.get(lane, 0.0) + tokens
    held = Share(epoch, units) if share is None else Share(share.epoch, share.units + units)
    return _tidy(
        replace(
            document,
            shares={**document.shares, lane: held},
            wants=_less(document.wants, lane),
            filled=filled,
        )
    )


def _with_share(document: QuotaDocument, lane: str, share: Share) -> QuotaDocument:
    shares = {**document.shares, lane: share} if share.units > 0 else _less(document.shares, lane)
    return _tidy(replace(document, shares=shares))


def _without(document: QuotaDocument, lanes: set[str]) -> QuotaDocument:
    shares = {lane: share for lane, share in document.shares.items() if lane not in lanes}
    wants = {lane: want for lane, want in document.wants.items() if lane not in lanes}
    return _tidy(replace(document, shares=shares, wants=wants))


def _tidy(document: QuotaDocument) -> QuotaDocument:
    """No unit that is free, or on its way, is more than full."""
    if not document.filled:
        return document
    filled = {
        lane: bound
        for lane, tokens in document.filled.items()
        if (bound := min(tokens, float(document.free if lane == FREE else document.units(lane)))) > 0
    }
    return document if filled == document.filled else replace(document, filled=filled)


def _less(entries: Mapping[str, Entry], lane: str) -> dict[str, Entry]:
    return {name: entry for name, entry in entries.items() if name != lane}
