"""`core.ports.Store` on a real cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from elastic_transport import AsyncTransport, TransportError
from elasticsearch import AsyncElasticsearch

from ...ilm import Capabilities, detect
from ..errors import StoreRejected, StoreUnavailable
from ..ports import BulkItem, Checkpoint, SearchPage, StoredDocument, Version
from ..settings import StoreSettings
from . import answers, failures
from .long_poll import LongPoll
from .transport import ACCEPT_JSON, SEND_NDJSON, client_for

# Several bulks a lane and deliveries into history share these; long polls have their own.
CONNECTIONS_PER_NODE = 64

_JSON_HEADERS = {"accept": ACCEPT_JSON, "content-type": ACCEPT_JSON}
# The header of one search of many: no shard may be left out.
_WHOLE_ANSWERS = b'{"allow_partial_search_results":false}'
_NDJSON_HEADERS = {"accept": ACCEPT_JSON, "content-type": SEND_NDJSON}
# 429 is not among them: another node would only be asked for the same work again.
_NEXT_NODE_STATUSES = (502, 503, 504)
# A multi-GET names no status for a document that it could not read.
_UNREAD_STATUSES = {"index_not_found_exception": 404, "illegal_argument_exception": 400, "security_exception": 403}

T = TypeVar("T")


class ElasticsearchStore:
    """The scheduler's requests, on the official client's transport. Made by `connect`, which also closes it.

    `capabilities` says what this cluster has. `client` is the official client, for tools; its answers are bytes.
    """

    def __init__(self, client: AsyncElasticsearch, settings: StoreSettings) -> None:
        self.client = client
        self.capabilities = Capabilities()
        self._transport: AsyncTransport = client.transport
        self._other_nodes = len(settings.urls) - 1
        self._timeout_s = settings.request_timeout_ms / 1000
        self._long_poll = LongPoll(settings)

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        """Send one `_bulk`; see `Store.bulk`. Costs one join of the lines and one parse of the answer.

        Elasticsearch is told to give up waiting for a shard before this side gives up waiting for the answer.
        """
        path = f"/{index}/_bulk" if index else "/_bulk"
        status, body = await self._send(
            "POST",
            f"{path}?timeout={max(1, timeout_ms * 2 // 3)}ms",
            b"\n".join((*lines, b"")),
            headers=_NDJSON_HEADERS,
            timeout_s=timeout_ms / 1000,
            write=True,
        )
        if status != 200:
            raise failures.refused(f"POST {path}", status, body, write=True)
        return _bulk_items(_decoded(answers.BULK, body, f"POST {path}", write=True))

    async def get(self, index: str, id: str) -> StoredDocument | None:
        """Realtime GET by id; None when the document does not exist. Raises: StoreRejected(404) for a missing index."""
        path = f"/{index}/_doc/{quote(id, safe='')}"
        status, body = await self._send("GET", path)
        if status not in (200, 404):
            raise failures.refused(f"GET {path}", status, body, write=False)
        found = _decoded(answers.FOUND, body, f"GET {path}")
        if found.error is not None:
            raise failures.refused(f"GET {path}", status, body, write=False)
        return _document(found) if found.found else None

    async def mget(self, index: str, ids: Sequence[str]) -> list[StoredDocument | None]:
        """Realtime GET of many ids of one index, in order. No ids: no request."""
        if not ids:
            return []
        what = f"POST /{index}/_mget"
        found = await self._read("POST", f"/{index}/_mget", {"ids": ids}, answers.FOUND_MANY)
        for one in found.docs:
            if one.error is not None:
                raise _unread(what, one.error)
        return [_document(one) if one.found else None for one in found.docs]

    async def search(self, index: str | None, body: Mapping[str, Any]) -> SearchPage:
        """One `_search`: all shards answer, or it raises."""
        path = f"/{index}/_search" if index else "/_search"
        answer = await self._read("POST", f"{path}?allow_partial_search_results=false", body, answers.SEARCH)
        return _page(answer, f"POST {path}")

    async def search_many(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[SearchPage]:
        """Many searches in one `_msearch`: all shards of all of them answer, or it raises. No bodies: no request."""
        if not bodies:
            return []
        what = f"POST /{index}/_msearch"
        lines = [line for body in bodies for line in (_WHOLE_ANSWERS, msgspec.json.encode(body))]
        status, answer = await self._send(
            "POST", f"/{index}/_msearch", b"\n".join((*lines, b"")), headers=_NDJSON_HEADERS
        )
        if status != 200:
            raise failures.refused(what, status, answer, write=False)
        pages = []
        for one in _decoded(answers.SEARCH_MANY, answer, what).responses:
            if one.error is not None:
                raise failures.refused(what, one.status, msgspec.json.encode({"error": one.error}), write=False)
            pages.append(_page(one, what))
        return pages

    async def open_pit(self, index: str, *, keep_alive_ms: int) -> str:
        """Open a point in time: what the last refresh made visible, as it stands now. The caller closes it."""
        return (await self._read("POST", f"/{index}/_pit?keep_alive={keep_alive_ms}ms", None, answers.PIT)).id

    async def close_pit(self, pit_id: str) -> None:
        """Free a point in time; one that is gone already is no error."""
        status, body = await self._send("DELETE", "/_pit", msgspec.json.encode({"id": pit_id}))
        if status not in (200, 404):
            raise failures.refused("DELETE /_pit", status, body, write=False)

    async def refresh(self, index: str) -> None:
        """Make every write acknowledged before this call visible to searches."""
        status, body = await self._send("POST", f"/{index}/_refresh")
        if status != 200:
            raise failures.refused(f"POST /{index}/_refresh", status, body, write=False)

    async def create_index(self, index: str) -> None:
        """See `Store.create_index`. Raises: StoreUnavailable when its primary is not active in time."""
        status, body = await self._send("PUT", f"/{index}")
        if status == 400 and failures.cause(body)[0] == "resource_already_exists_exception":
            return
        if status != 200:
            raise failures.refused(f"PUT /{index}", status, body, write=False)
        if not _decoded(answers.INDEX_MADE, body, f"PUT /{index}").shards_acknowledged:
            raise StoreUnavailable(f"PUT /{index}: its primary is not active yet")

    async def delete_index(self, index: str) -> None:
        """See `Store.delete_index`."""
        status, body = await self._send("DELETE", f"/{index}?ignore_unavailable=true")
        if status != 200:
            raise failures.refused(f"DELETE /{index}", status, body, write=False)

    async def checkpoint(self, index: str) -> Checkpoint:
        """Where the primary of a one-shard index stands. Raises: StoreUnavailable while no primary is assigned."""
        stats = await self._read("GET", f"/{index}/_stats/docs?level=shards", None, answers.STATS)
        if len(stats.indices) > 1:
            raise StoreRejected(f"{index!r} names {len(stats.indices)} indices, a checkpoint belongs to one", 400)
        for one in stats.indices.values():
            if (found := _checkpoint(one)) is not None:
                return found
        raise StoreUnavailable(f"no primary of {index!r} is assigned")

    async def checkpoints(self, indices: Sequence[str]) -> dict[str, Checkpoint]:
        """Where many one-shard indices stand, in one request; what is missing or has no primary is left out."""
        path = f"/{','.join(indices)}/_stats/docs?level=shards&ignore_unavailable=true"
        stats = await self._read("GET", path, None, answers.STATS)
        return {name: found for name, one in stats.indices.items() if (found := _checkpoint(one)) is not None}

    @property
    def pushes(self) -> bool:
        """Whether this cluster answers `wait_past`."""
        return self.capabilities.fleet

    async def wait_past(self, index: str, checkpoint: int, *, wait_ms: int) -> int | None:
        """See `Store.wait_past`."""
        return await self._long_poll.wait_past(index, checkpoint, wait_ms=wait_ms)

    async def resolve_write_index(self, alias: str) -> str:
        """The concrete index that an alias writes to now. Raises: StoreRejected(404) when there is no such alias."""
        found = await self._read("GET", f"/_alias/{alias}", None, answers.ALIASES)
        for index, entry in found.items():
            if entry.aliases[alias].is_write_index or len(found) == 1:
                return index
        raise StoreRejected(f"alias {alias!r} has no write index", 400)

    async def close(self) -> None:
        """Close the connections; what is under way ends with StoreUnavailable or OutcomeUnknown."""
        await self._long_poll.close()
        await self.client.close()

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One administrative request: its status and parsed JSON, whatever the status. Repeating it must be harmless.

        Raises: StoreUnavailable for 429, 5xx and when no answer comes.
        """
        status, answer = await self._send(method, path, None if body is None else msgspec.json.encode(body))
        if status == 429 or status >= 500:
            raise failures.refused(f"{method} {path}", status, answer, write=False)
        try:
            return status, msgspec.json.decode(answer) if answer else None
        except msgspec.DecodeError:
            return status, {"error": answer[:200].decode("utf-8", "replace")}

    async def _read(self, method: str, target: str, body: Any, decoder: msgspec.json.Decoder[T]) -> T:
        status, answer = await self._send(method, target, None if body is None else msgspec.json.encode(body))
        what = f"{method} {target.partition('?')[0]}"
        if status != 200:
            raise failures.refused(what, status, answer, write=False)
        return _decoded(decoder, answer, what)

    async def _send(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] = _JSON_HEADERS,
        timeout_s: float | None = None,
        write: bool = False,
    ) -> tuple[int, bytes]:
        try:
            meta, answer = await self._transport.perform_request(
                method,
                target,
                body=body,
                headers=headers,
                request_timeout=self._timeout_s if timeout_s is None else timeout_s,
                max_retries=0 if write else self._other_nodes,
                retry_on_status=() if write else _NEXT_NODE_STATUSES,
            )
        except TransportError as error:
            raise failures.no_answer(f"{method} {target.partition('?')[0]}", error, write=write) from error
        return meta.status, answer


@asynccontextmanager
async def connect(settings: StoreSettings) -> AsyncIterator[ElasticsearchStore]:
    """A store whose capabilities are known; its connections are closed on the way out.

    Raises: StoreUnavailable when no node answers; StoreRejected (401, 403) when it may not ask; an ilm error when
    what answers is no Elasticsearch that this release can use.
    """
    store = ElasticsearchStore(client_for(settings, CONNECTIONS_PER_NODE), settings)
    try:
        store.capabilities = await detect(store.request)
        yield store
    finally:
        await store.close()


def _checkpoint(stats: answers.IndexStats) -> Checkpoint | None:
    """The primary's; None while no primary is assigned."""
    for copies in stats.shards.values():
        for copy in copies:
            if copy.routing.primary and copy.seq_no is not None:
                return Checkpoint(stats.uuid, copy.seq_no.global_checkpoint, copy.seq_no.max_seq_no)
    return None


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str, *, write: bool = False) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise failures.unreadable(what, error, write=write) from error


def _bulk_items(answer: answers.BulkAnswer) -> list[BulkItem]:
    items = []
    for entry in answer.items:
        result = entry.index or entry.create or entry.delete
        assert result is not None
        status = result.status
        if result.error is None:
            # A deletion that found nothing (404) takes a sequence number too.
            version = Version(result.seq_no, result.primary_term) if result.seq_no >= 0 else None
            items.append(BulkItem(status, result.index, result.id, version))
        else:
            error = result.error
            items.append(BulkItem(status, result.index, result.id, None, error.type, error.reason or ""))
    return items


def _document(found: answers.Found) -> StoredDocument:
    return StoredDocument(found.index, found.id, bytes(found.source), Version(found.seq_no, found.primary_term))


def _page(answer: answers.SearchAnswer, what: str) -> SearchPage:
    if answer.timed_out:
        raise StoreUnavailable(f"{what}: the search ran out of its own time")
    total = answer.hits.total
    hits = [_hit(hit) for hit in answer.hits.hits]
    return SearchPage(
        hits, answer.pit_id, total.value if total is not None else None, bytes(answer.aggregations) or None
    )


def _hit(hit: answers.Hit) -> StoredDocument:
    version = Version(hit.seq_no, hit.primary_term) if hit.seq_no >= 0 else None
    return StoredDocument(hit.index, hit.id, bytes(hit.source), version, hit.sort)


def _unread(what: str, error: answers.TopCause | str) -> StoreRejected | StoreUnavailable:
    """One document of a multi-GET failed: its index is missing, or its shard did not answer."""
    error_type, reason = failures.cause_of(error)
    detail = f"{what}: {error_type}: {reason}"
    status = _UNREAD_STATUSES.get(error_type)
    return StoreUnavailable(detail) if status is None else StoreRejected(detail, status, error_type)
