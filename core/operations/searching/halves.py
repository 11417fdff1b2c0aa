"""The two lists that a page is merged from: documents in lanes, and rows of ends. Each is read on demand, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ....claim.wire import ErrorInfo
from ....claim.wire.search import FoundInstance
from ...engine import Engine
from ...es.instance_list import ENDED, Filter, Page, attempts_with_body, ended_body, ids_of, live_body
from ...ports import StoredDocument
from ...principal import Principal
from .doubles import Hit
from .snapshots import Snapshot
from .tokens import Asked, Place
from .words import payload_words, words_of

COUNTED_TO = 10_000
LOOKED_AT_MAX = 1_000
_LOOKED_AT_ONCE = 200


class _Items(Struct):
    path: str = ""


class _Document(Struct):
    """What is asked of a lane document. A running instance's has no status. `items`: it is a share of a foreach."""

    id: str
    workflow: str
    version: int
    tenant: str
    space: str
    created_at_ms: int
    status: str = "running"
    finished_at_ms: int = 0
    label_pairs: list[str] = []
    started_by: str | None = None
    correlation_id: str | None = None
    parent_id: str | None = None
    redrives: int = 0
    error: ErrorInfo | None = None
    items: _Items | None = None
    inputs: Any = None
    inputs_ref: str | None = None
    outputs: Any = None


class _Workflow(Struct):
    id: str
    name: str
    version: int


class _Row(Struct):
    workflow: _Workflow
    tenant: str
    space: str
    status: str
    created_at: datetime
    finished_at: datetime
    duration_ms: int
    labels: list[str] = []
    started_by: str | None = None
    correlation_id: str | None = None
    parent_id: str | None = None
    redrives: int = 0
    error: ErrorInfo | None = None


_documents = msgspec.json.Decoder(_Document)
_rows = msgspec.json.Decoder(_Row)


class Half(Protocol):
    """One list from a place on. `total` is how many documents pass the filters, once a page was counted."""

    total: int | None

    @property
    def place(self) -> Place:
        """Behind the hit that was taken last."""

    @property
    def first(self) -> Hit | None:
        """What `take` would give, of what has been read."""

    @property
    def dry(self) -> bool:
        """Whether more must be read before it can be said what comes next."""

    async def read(self, size: int, *, count: bool) -> None:
        """Read on, if it is dry."""

    def take(self) -> Hit: ...


class _Half:
    """What both have in common."""

    def __init__(self, engine: Engine, principal: Principal, asked: Asked, snapshot: Snapshot, place: Place) -> None:
        self._store = engine.store
        self._names = engine.names
        self._keep_alive_ms = engine.settings.search.keep_alive_ms
        self._principal = principal
        self._asked = asked
        self._snapshot = snapshot
        self._taken = place
        self._read_to = place
        self._hits: deque[Hit] = deque()
        self.total: int | None = 0 if place.over else None

    @property
    def place(self) -> Place:
        return self._read_to if not self._hits else self._taken

    @property
    def first(self) -> Hit | None:
        return self._hits[0] if self._hits else None

    @property
    def dry(self) -> bool:
        return not self._hits and not self._read_to.over

    def take(self) -> Hit:
        hit = self._hits.popleft()
        self._taken = Place(hit.after, hit.looked_at)
        return hit

    def _page(self, pit_id: str, size: int, *, count: bool) -> Page:
        counted_to = COUNTED_TO if count and self.total is None else 0
        return Page(pit_id, size, self._keep_alive_ms, self._read_to.after, counted_to)


class Ended(_Half):
    """Rows of ends."""

    async def read(self, size: int, *, count: bool) -> None:
        if not self.dry:
            return
        asked, page = self._asked, self._page(self._snapshot.ended, size, count=count)
        found = await self._store.search(None, ended_body(self._principal, asked.which, asked.sort, asked.order, page))
        if page.counted_to:
            self.total = found.total
        self._hits.extend(_row_hit(hit) for hit in found.hits)
        self._read_to = Place(found.hits[-1].sort if found.hits else page.after, over=len(found.hits) < size)


class Live(_Half):
    """Documents in lanes. What lanes do not index is looked for in the documents themselves, in so many at most."""

    def __init__(self, engine: Engine, principal: Principal, asked: Asked, snapshot: Snapshot, place: Place) -> None:
        super().__init__(engine, principal, asked, snapshot, place)
        self._wanted = None if asked.which.text is None else words_of(asked.which.text)
        self.unread_inputs = 0

    @property
    def looks_inside(self) -> bool:
        """Whether the filters ask for what lanes do not index."""
        which = self._asked.which
        asked = (which.started_by, which.text, which.error_type, which.finished_since_ms)
        return any(one is not None for one in asked)

    @property
    def cut_short(self) -> bool:
        """Whether documents were left that nobody has looked into."""
        return self.looks_inside and self._read_to.over and self._read_to.looked_at >= LOOKED_AT_MAX

    async def read(self, size: int, *, count: bool) -> None:
        while self.dry:
            looked_at = self._read_to.looked_at
            if self.looks_inside:
                size = min(_LOOKED_AT_ONCE, LOOKED_AT_MAX - looked_at)
            page = self._page(self._snapshot.live, size, count=count)
            found = await self._store.search(
                None, live_body(self._principal, self._asked.which, self._asked.order, page)
            )
            if page.counted_to:
                self.total = found.total
            self._hits.extend(await self._passing(found.hits, looked_at))
            looked_at += len(found.hits)
            over = len(found.hits) < size or (self.looks_inside and looked_at >= LOOKED_AT_MAX)
            self._read_to = Place(found.hits[-1].sort if found.hits else page.after, looked_at, over)

    async def _passing(self, hits: list[StoredDocument], looked_at: int) -> list[Hit]:
        documents = [_documents.decode(hit.source) for hit in hits]
        with_words = await self._with_words(documents)
        return [
            _document_hit(document, hit, looked_at + position + 1)
            for position, (document, hit) in enumerate(zip(documents, hits, strict=True))
            if document.items is None
            and _passes(document, self._asked.which)
            and (with_words is None or document.id in with_words)
        ]

    async def _with_words(self, documents: list[_Document]) -> set[str] | None:
        """Which of them hold the words: in their inputs, outputs or error, or in those of a finished attempt."""
        which = self._asked.which
        if which.text is None or self._wanted is None:
            return None
        ids = [document.id for document in documents]
        if not ids:
            return set()
        page = await self._store.search(self._names.steps, attempts_with_body(self._principal, ids, which.text))
        found = ids_of(page.aggregations)
        for document in documents:
            if document.id not in found and self._holds(document):
                found.add(document.id)
            self.unread_inputs += document.inputs_ref is not None and document.id not in found
        return found

    def _holds(self, document: _Document) -> bool:
        wanted = self._wanted or set()
        texts = [payload_words(document.inputs), payload_words(document.outputs)]
        if document.error is not None:
            texts.append(words_of(document.error.message))
        return any(wanted <= text for text in texts)


async def read_both(live: Live, ended: Ended, size: int, *, count: bool) -> None:
    """Read on where it is not known what comes next, of both at once."""
    await asyncio.gather(live.read(size, count=count), ended.read(size, count=count))


def _passes(document: _Document, which: Filter) -> bool:
    """The filters that lanes have no field for."""
    if which.started_by is not None and document.started_by != which.started_by:
        return False
    if which.error_type is not None and (document.error is None or document.error.type != which.error_type):
        return False
    return which.finished_since_ms is None or document.finished_at_ms >= which.finished_since_ms


def _document_hit(document: _Document, hit: StoredDocument, looked_at: int) -> Hit:
    ended = document.status in ENDED
    instance = FoundInstance(
        instance_id=document.id,
        workflow=document.workflow,
        version=document.version,
        tenant=document.tenant,
        space=document.space,
        status=document.status,
        created_at_ms=document.created_at_ms,
        finished_at_ms=document.finished_at_ms if ended else None,
        duration_ms=document.finished_at_ms - document.created_at_ms if ended else None,
        error=document.error if ended else None,
        labels=document.label_pairs,
        started_by=document.started_by,
        correlation_id=document.correlation_id,
        parent_id=document.parent_id,
        redrives=document.redrives,
    )
    return Hit(instance, True, hit.sort[0], hit.sort, looked_at)


def _row_hit(hit: StoredDocument) -> Hit:
    row = _rows.decode(hit.source)
    instance = FoundInstance(
        instance_id=row.workflow.id,
        workflow=row.workflow.name,
        version=row.workflow.version,
        tenant=row.tenant,
        space=row.space,
        status=row.status,
        created_at_ms=_ms(row.created_at),
        finished_at_ms=_ms(row.finished_at),
        duration_ms=row.duration_ms,
        error=row.error,
        labels=row.labels,
        started_by=row.started_by,
        correlation_id=row.correlation_id,
        parent_id=row.parent_id,
        redrives=row.redrives,
    )
    return Hit(instance, False, hit.sort[0], hit.sort)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)
