"""The whole trail as lines of JSON, in the order that `verify` takes, with the facts that it compares them with.

The first line holds the facts (`trail`), then comes a line a row (`_index`, `_id`, `_source`, as Elasticsearch has
them), and the last one says how many rows there were (`end`). A page of it that is not the last ends with the token for
the next one (`next`).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from ...ilm import IndexNames
from ..errors import InvalidRequest, StoreRejected, StoreUnavailable
from ..es.audit_rows import chained_rows_body
from ..ports import Clock, Store
from .heads import all_heads
from .rows import Head
from .verify import Facts, IndexFact

PAGE_ROWS = 1_000
TOKEN_MAX_CHARACTERS = 7_000
"""What fits into a request's head. Most of it is the point in time's id, which grows with the number of indices."""
_KEEP_ALIVE_MS = 300_000
_SETTINGS = "flat_settings=true&ignore_unavailable=true&filter_path=metadata.indices.*.settings"


class ExportEnd(Struct, frozen=True):
    rows: int


class ExportLine(Struct, omit_defaults=True):
    """One line: one of the first three, or a row."""

    trail: Facts | UnsetType = UNSET
    end: ExportEnd | UnsetType = UNSET
    next: str | UnsetType = UNSET
    index: str | UnsetType = field(name="_index", default=UNSET)
    id: str | UnsetType = field(name="_id", default=UNSET)
    source: Raw | UnsetType = field(name="_source", default=UNSET)


class _Token(Struct, frozen=True, array_like=True):
    """Stands before the point in time's id. `rows`: how many were sent before."""

    after: tuple[Any, ...]
    rows: int


class Export:
    """Pages of one; the point in time that they are read from lives five minutes after each."""

    def __init__(self, store: Store, names: IndexNames, clock: Clock) -> None:
        self._store = store
        self._names = names
        self._clock = clock

    async def first(self, retention_ms: int | None) -> list[bytes]:
        """The facts, and the first page of rows. Raises: StoreError."""
        heads = await self._heads()
        indices = await self._indices()
        await self._store.refresh(self._names.audit)
        pit = await self._store.open_pit(self._names.audit, keep_alive_ms=_KEEP_ALIVE_MS)
        known = set(heads)
        later = tuple(head for head in await self._heads() if head not in known)
        facts = Facts(self._names.audit, self._clock.now_ms(), retention_ms, indices, heads, later)
        return [_encoded(ExportLine(trail=facts)), *await self._page(pit, None, 0)]

    async def following(self, token: str) -> list[bytes]:
        """The page that the token of the one before stands for. Raises: InvalidRequest; StoreError."""
        try:
            place, _, pit = token.partition(".")
            read = msgspec.json.decode(base64.urlsafe_b64decode(place.encode()), type=_Token)
            return await self._page(pit, read.after, read.rows)
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            raise InvalidRequest("`next` is no token of an export; begin anew without it") from None
        except StoreRejected as error:
            if error.status not in (400, 404):
                raise
            raise InvalidRequest("this export was left for more than five minutes; begin anew without `next`") from None

    async def _page(self, pit: str, after: tuple[Any, ...] | None, sent: int) -> list[bytes]:
        body = chained_rows_body(pit, after, size=PAGE_ROWS, keep_alive_ms=_KEEP_ALIVE_MS)
        page = await self._store.search(None, body)
        lines = [_encoded(ExportLine(index=hit.index, id=hit.id, source=Raw(hit.source))) for hit in page.hits]
        rows, pit = sent + len(page.hits), page.pit_id or pit
        if len(page.hits) == PAGE_ROWS:
            place = base64.urlsafe_b64encode(msgspec.json.encode(_Token(page.hits[-1].sort, rows))).decode()
            return [*lines, _encoded(ExportLine(next=f"{place}.{pit}"))]
        await self._store.close_pit(pit)
        return [*lines, _encoded(ExportLine(end=ExportEnd(rows)))]

    async def _heads(self) -> tuple[Head, ...]:
        return tuple([head async for head in all_heads(self._store, self._names)])

    async def _indices(self) -> tuple[IndexFact, ...]:
        alias = self._names.audit
        path = f"/_cluster/state/metadata/{alias}-*,*-{alias}-*?{_SETTINGS}"
        status, answer = await self._store.request("GET", path)
        if status != 200:
            raise StoreUnavailable(f"GET {path}: {status}")
        found = (answer or {}).get("metadata", {}).get("indices", {})
        facts = [IndexFact(name, int(one["settings"]["index.creation_date"])) for name, one in found.items()]
        return tuple(sorted(facts, key=lambda fact: fact.name))


def _encoded(line: ExportLine) -> bytes:
    return msgspec.json.encode(line)
