"""One page of the list of instances: merged, without doubles, filled, counted."""

from __future__ import annotations

import asyncio

from msgspec import Struct
from msgspec.structs import replace

from ....claim.wire.search import FoundTotal, InstanceList
from ...engine import Engine
from ...errors import Expired, InvalidRequest, StoreRejected
from ...principal import Principal
from .doubles import Hit, latest
from .halves import COUNTED_TO, LOOKED_AT_MAX, Ended, Live
from .snapshots import Snapshot, Snapshots
from .tokens import (
    TOKEN_MAX_CHARACTERS,
    Asked,
    Place,
    Relation,
    Token,
    fingerprint,
    packed,
    read,
    unpacked,
    written,
)
from .words import words_of

# A page ends early once it has looked at so many hits, most of which were no latest life.
_HITS_MAX = 5_000
_BATCH_MAX = 1_000


class _Page(Struct):
    """What a page came to. Where the next begins: `live` and `ended`, if `more`."""

    hits: list[Hit]
    live: Place
    ended: Place
    more: bool


class Search:
    """Lists instances for a principal."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._snapshots = Snapshots(
            store=engine.store, names=engine.names, clock=engine.clock, settings=engine.settings.search
        )

    async def page(self, principal: Principal, asked: Asked, *, size: int, next: str | None) -> InstanceList:
        """The first page, or with `next` a later one; instances that the principal may see and none else.

        Raises: InvalidRequest for a `next` that is none of this list's, or a text without a word; Expired.
        """
        if asked.which.text is not None and not words_of(asked.which.text):
            raise InvalidRequest("the query parameter text holds no word; write words of letters or digits")
        token = None
        if next is None:
            snapshot = await self._snapshots.open()
        else:
            token = read(next, principal, asked, self._engine.control.peer_secret)
            asked = replace(asked, which=token.pinned(asked.which))
            snapshot = Snapshot(unpacked(token.live_pit), unpacked(token.ended_pit))
        keep = False
        try:
            answer = await self._answer(principal, asked, snapshot, token, size)
            keep = answer.next is not None
        except StoreRejected as error:
            if token is not None and error.status == 404:
                raise Expired(
                    "this list is no longer kept: too long after the page before, or too many were open;"
                    " leave `next` out to begin anew"
                ) from error
            raise
        finally:
            if not keep:
                await self._snapshots.close(snapshot)
        await self._snapshots.keep(snapshot, principal.tenant)
        return answer

    async def _answer(
        self, principal: Principal, asked: Asked, snapshot: Snapshot, token: Token | None, size: int
    ) -> InstanceList:
        live_from = token.live if token is not None else Place(over=asked.sort != "created")
        ended_from = token.ended if token is not None else Place(over=asked.which.live_only)
        live = Live(self._engine, principal, asked, snapshot.live, live_from)
        ended = Ended(self._engine, principal, asked, snapshot.ended, ended_from)
        if token is None:
            await asyncio.gather(live.begin(), ended.begin())
        page = await self._filled(live, ended, asked, snapshot, size)
        instances = [hit.instance for hit in page.hits]
        incomplete = _sentences(live)
        total, relation = (token.total, token.relation) if token is not None else _total(live, ended, page)
        following = None
        if page.more:
            following = written(
                Token(
                    fingerprint(principal, asked),
                    packed(snapshot.live),
                    packed(snapshot.ended),
                    page.live,
                    page.ended,
                    total,
                    relation,
                    asked.which.since_ms,
                    asked.which.until_ms,
                    asked.which.finished_since_ms,
                    asked.which.changed_since_ms,
                ),
                self._engine.control.peer_secret,
            )
            if len(following) > TOKEN_MAX_CHARACTERS:
                following = None
                incomplete.append(
                    "history stands in too many indices for a list of several pages; ask for fewer with since and until"
                )
        return InstanceList(instances, FoundTotal(total, relation), following, incomplete)

    async def _filled(self, live: Live, ended: Ended, asked: Asked, snapshot: Snapshot, size: int) -> _Page:
        """A page of `size`, and whether there is more, which takes one hit beyond it."""
        hits: list[Hit] = []
        ends: list[tuple[Place, Place]] = []
        looked_at, wanted = 0, size + 1
        while len(hits) < wanted and looked_at < _HITS_MAX:
            # The more are left out, the more are asked for.
            batch_size = min(max(wanted - len(hits), looked_at), _BATCH_MAX)
            await asyncio.gather(live.read(batch_size), ended.read(batch_size))
            batch: list[Hit] = []
            places: list[tuple[Place, Place]] = []
            while len(batch) < batch_size and (half := _next_of(live, ended, asked.order == "desc")) is not None:
                batch.append(half.take())
                places.append((live.place, ended.place))
            if not batch:
                break
            looked_at += len(batch)
            keep_alive_ms = self._engine.settings.search.keep_alive_ms
            kept = await latest(self._engine.store, snapshot, batch, keep_alive_ms=keep_alive_ms)
            hits += [hit for hit, is_latest in zip(batch, kept, strict=True) if is_latest]
            ends += [place for place, is_latest in zip(places, kept, strict=True) if is_latest]
        if len(hits) > size:
            return _Page(hits[:size], *ends[size - 1], True)
        more = any(half.dry or half.first is not None for half in (live, ended))
        return _Page(hits, live.place, ended.place, more)


def _next_of(live: Live, ended: Ended, descending: bool) -> Live | Ended | None:
    """Which of the two comes next; None where both are over, or it takes reading on to say."""
    if live.dry or ended.dry:
        return None
    if live.first is None or ended.first is None:
        return live if live.first is not None else ended if ended.first is not None else None
    if live.first.key == ended.first.key:
        return live
    return live if (live.first.key > ended.first.key) == descending else ended


def _total(live: Live, ended: Ended, page: _Page) -> tuple[int, Relation]:
    """Exact where all are on the page. Else what is counted may hold an instance twice, in both lists."""
    if not page.more:
        return len(page.hits), "gte" if live.cut_short else "eq"
    inside = live.looks_inside and bool(live.total)
    counted = (sum(hit.live for hit in page.hits) if inside else live.total or 0), ended.total or 0
    bounded = any(one >= COUNTED_TO for one in counted) or inside
    return sum(counted), "gte" if bounded else "eq"


def _sentences(live: Live) -> list[str]:
    found = []
    if live.cut_short:
        found.append(
            f"of the live instances that pass the other filters the first {LOOKED_AT_MAX} were looked into, and no more"
        )
    if live.unread_inputs:
        found.append(
            f"{live.unread_inputs} live instances have inputs that are too large to be looked into before they end"
        )
    return found
