"""The two lists that a page is merged from: documents in lanes, and rows of ends. Each is read on demand, in order."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ....claim.wire.search import ENDED, FoundInstance
from ...engine import Engine
from ...es.instance_list import Filter, Page, attempts_with_body, counted, ended_body, ids_of, live_body
from ...ports import StoredDocument
from ...principal import Principal
from .doubles import Hit
from .tokens import Asked, Place
from .words import payload_words, words_of

COUNTED_TO = 10_000
LOOKED_AT_MAX = 1_000
_LOOKED_AT_ONCE = 200
# A list of many is read in windows of time, each wider than the one before.
_FIRST_WINDOW_MS = 60_000
_WIDER = 10
_WIDEST_MS = 3_000 * 86_400_000


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


class _Half:
    """One list from a place on, read on demand. `total` is how many documents pass the filters; None: not counted."""

    def __init__(self, engine: Engine, principal: Principal, asked: Asked, pit_id: str, place: Place) -> None:
        self._store = engine.store
        self._names = engine.names
        self._now_ms = engine.clock.now_ms
        self._keep_alive_ms = engine.settings.search.keep_alive_ms
        self._principal = principal
        self._asked = asked
        self._pit_id = pit_id
        self._taken = place
        self._read_to = place
        self._hits: deque[Hit] = deque()
        # Where the window that is read begins and ends; None on a side where it is open.
        self._from_ms: int | None = None
        self._before_ms: int | None = None
        self.total: int | None = 0 if place.over else None

    @property
    def place(self) -> Place:
        """Behind the hit that was taken last."""
        return self._read_to if not self._hits else self._taken

    @property
    def first(self) -> Hit | None:
        """What `take` would give, of what has been read."""
        return self._hits[0] if self._hits else None

    @property
    def dry(self) -> bool:
        """Whether more must be read before it can be said what comes next."""
        return not self._hits and not self._read_to.over

    def take(self) -> Hit:
        hit = self._hits.popleft()
        self._taken = replace(self._read_to, after=hit.after, looked_at=hit.looked_at, over=False)
        return hit

    async def begin(self) -> None:
        """Count, on the first page. Of few the list is read as a whole; of none not at all."""
        if self._read_to.over:
            return
        page = await self._store.search(None, counted(self._body(self._page(0)), COUNTED_TO))
        self.total = page.total or 0
        in_windows = self.total >= COUNTED_TO and self._asked.order == "desc" and self._asked.sort != "duration"
        self._read_to = Place(over=not self.total, window_ms=_FIRST_WINDOW_MS if in_windows else 0)
        self._taken = self._read_to

    async def read(self, size: int) -> None:
        """Read on, if it is dry, until there are hits or none is left."""
        while self.dry:
            before = self._read_to
            size = self._at_once(size)
            self._open_window()
            found = (await self._store.search(None, self._body(self._page(size)))).hits
            self._hits.extend(await self._taken_in(found, before.looked_at))
            looked_at = before.looked_at + len(found)
            after = found[-1].sort if found else before.after
            over, window_ms = False, before.window_ms
            if len(found) < size:
                over = self._from_ms is None
                self._before_ms, self._from_ms = self._from_ms, None
                window_ms *= _WIDER
            self._read_to = Place(after, looked_at, over or self._enough(looked_at), window_ms)

    def _open_window(self) -> None:
        """The window to read in, where none is open: it ends at the place, and once it is over at its beginning."""
        if not self._read_to.window_ms or self._from_ms is not None:
            return
        if self._before_ms is None and self._read_to.after is not None:
            self._before_ms = int(self._read_to.after[0]) + 1
        which = self._asked.which
        if self._before_ms is None:
            ends_ms = self._now_ms()
            if self._asked.sort == "created" and which.until_ms is not None:
                ends_ms = min(ends_ms, which.until_ms)
        else:
            ends_ms = self._before_ms
        from_ms = ends_ms - self._read_to.window_ms
        self._from_ms = from_ms if from_ms > 0 and self._read_to.window_ms <= _WIDEST_MS else None

    def _page(self, size: int) -> Page:
        return Page(self._pit_id, size, self._keep_alive_ms, self._read_to.after, self._from_ms, self._before_ms)

    def _at_once(self, size: int) -> int:
        return size

    def _enough(self, looked_at: int) -> bool:
        return False

    def _body(self, page: Page) -> dict[str, Any]:
        raise NotImplementedError

    async def _taken_in(self, hits: list[StoredDocument], looked_at: int) -> list[Hit]:
        raise NotImplementedError


class Ended(_Half):
    """Rows of ends."""

    def _body(self, page: Page) -> dict[str, Any]:
        return ended_body(self._principal, self._asked.which, self._asked.sort, self._asked.order, page)

    async def _taken_in(self, hits: list[StoredDocument], looked_at: int) -> list[Hit]:
        return [_row_hit(hit) for hit in hits]


class Live(_Half):
    """Documents in lanes. What lanes do not index is looked for in the documents themselves, in so many at most."""

    def __init__(self, engine: Engine, principal: Principal, asked: Asked, pit_id: str, place: Place) -> None:
        super().__init__(engine, principal, asked, pit_id, place)
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
        return self._read_to.over and self._enough(self._read_to.looked_at)

    def _at_once(self, size: int) -> int:
        return min(_LOOKED_AT_ONCE, LOOKED_AT_MAX - self._read_to.looked_at) if self.looks_inside else size

    def _enough(self, looked_at: int) -> bool:
        return self.looks_inside and looked_at >= LOOKED_AT_MAX

    def _body(self, page: Page) -> dict[str, Any]:
        return live_body(self._principal, self._asked.which, self._asked.order, page)

    async def _taken_in(self, hits: list[StoredDocument], looked_at: int) -> list[Hit]:
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
