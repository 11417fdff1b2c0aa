"""The small interfaces through which time and Elasticsearch come in, so that a simulation can drive the same code.

`Store` is implemented by `core.es.store.ElasticsearchStore` and by the model of Elasticsearch in `tests/kit`; one
contract suite runs on both. Bodies and sources are JSON bytes: the hot path encodes and decodes once, with typed
structs, and nothing in between parses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from ..ilm.capabilities import Capabilities


class Version(Struct, frozen=True, gc=False):
    """What a conditional write is conditional on: Elasticsearch's `_seq_no` and `_primary_term`."""

    seq_no: int
    primary_term: int


class StoredDocument(Struct, frozen=True, gc=False):
    """A document as a realtime GET or a search returned it. `version` is None where a search did not ask for it."""

    index: str
    id: str
    source: bytes
    version: Version | None
    sort: tuple[Any, ...] = ()


class BulkItem(Struct, frozen=True, gc=False):
    """What a bulk request answered for one item.

    `status` is the item's HTTP status. `version` is set on 2xx, and on the 404 of a deletion that found nothing, which
    takes a sequence number all the same. `index` is the concrete index. `error_type` and
    `error_reason` are Elasticsearch's own words where the item failed.
    """

    status: int
    index: str
    id: str
    version: Version | None = None
    error_type: str = ""
    error_reason: str = ""


class SearchPage(Struct, frozen=True):
    """One page of hits, with the point in time to pass on (its id may change from page to page)."""

    hits: list[StoredDocument]
    pit_id: str | None = None
    total: int | None = None
    aggregations: bytes | None = None


class Checkpoint(Struct, frozen=True):
    """Where a single-shard index stands: a changed `index_uuid` or a fallen checkpoint means: read everything anew."""

    index_uuid: str
    global_checkpoint: int
    max_seq_no: int


class Store(Protocol):
    """The few requests that the scheduler makes of Elasticsearch.

    Raises, from any method: `StoreUnavailable` (429, 503, no connection: nothing was applied; for anything but `bulk`
    every failure to get an answer, since a read changes nothing), `StoreRejected` (Elasticsearch understood and refused
    the whole request: 400, 403, 404, 413, ...; carries `status`); from `bulk` also `OutcomeUnknown` (the connection was
    lost or timed out after the request was sent, or 500, 502, 504 came: it may have been applied).
    """

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        """Send one `_bulk`. `lines` are NDJSON lines without their line feeds: action, source, action, ...

        One `BulkItem` comes back for each action, in order. Never retried here.
        """
        ...

    async def get(self, index: str, id: str) -> StoredDocument | None:
        """Realtime GET by id; None when the document does not exist. A missing index raises StoreRejected(404)."""
        ...

    async def mget(self, index: str, ids: Sequence[str]) -> list[StoredDocument | None]:
        """Realtime GET of many ids of one index, in order."""
        ...

    async def search(self, index: str | None, body: Mapping[str, Any]) -> SearchPage:
        """One `_search`; `index` is None when the body names a point in time. Sees the last refresh only."""
        ...

    async def search_many(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[SearchPage]:
        """Many searches of one index in one `_msearch`, in order; raises as soon as one of them fails."""
        ...

    async def open_pit(self, index: str, *, keep_alive_ms: int) -> str: ...

    async def close_pit(self, pit_id: str) -> None: ...

    async def refresh(self, index: str) -> None: ...

    async def create_index(self, index: str) -> None:
        """An empty index by the template that fits its name, ready for writes; one that is there stays as it is."""
        ...

    async def delete_index(self, index: str) -> None:
        """Delete an index with all it holds; one that is not there is no error."""
        ...

    async def checkpoint(self, index: str) -> Checkpoint:
        """The first shard's checkpoints, from `_stats?level=shards`. The index (or alias) must resolve to one shard."""
        ...

    async def checkpoints(self, indices: Sequence[str]) -> dict[str, Checkpoint]:
        """Where many single-shard indices stand, in one request; what is missing or has no primary is left out."""
        ...

    @property
    def pushes(self) -> bool:
        """Whether the cluster says by itself when a checkpoint has advanced: `wait_past` works."""
        ...

    async def wait_past(self, index: str, checkpoint: int, *, wait_ms: int) -> int | None:
        """Wait until a single-shard index's global checkpoint is above this one; returns it, None after `wait_ms`.

        It takes no connection that other requests need. An index that is made again meanwhile is not noticed.
        """
        ...

    async def resolve_write_index(self, alias: str) -> str:
        """The concrete index that an alias writes to now."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this cluster has."""
        ...

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One administrative request: its status and parsed JSON, whatever the status. Repeating it must be harmless.

        Raises: StoreUnavailable for 429, 5xx and when no answer comes.
        """
        ...


class Clock(Protocol):
    """Time as the engine sees it: wall time goes into documents, monotonic time bounds trust."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by this machine's wall clock."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds that never go back; no meaning outside this process."""
        ...
