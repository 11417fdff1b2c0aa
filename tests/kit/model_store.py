"""A model of Elasticsearch in memory, as far as the scheduler uses it: this module is one client's way to it.

It lies like the original: GETs are realtime but searches see the last refresh only; conditional writes are checked
against `_seq_no` and `_primary_term`; items of a bulk fail one by one; deletes take sequence numbers; nothing is
created by a write; points in time hold what they saw. The suite in `tests/contract` runs on it and on a real server.

`ModelElasticsearch` is the cluster, `ModelStore` a client with its own `Faults`. Everything is deterministic: time is
the running loop's (virtual in simulations), and latency is drawn from what the test passes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from leasehold.core.errors import OutcomeUnknown, StoreRejected, StoreUnavailable
from leasehold.core.ports import BulkItem, Checkpoint, SearchPage, StoredDocument
from leasehold.ilm import Capabilities

from .faults import Fault, Faults
from .model_admin import administer
from .model_aggregations import aggregate
from .model_bulk import parse_bulk
from .model_cluster import ModelElasticsearch
from .model_documents import ModelDoesNotKnow
from .model_index import Document, Operation
from .model_search import Refused, Visible, run_search

__all__ = ["ModelElasticsearch", "ModelStore"]

T = TypeVar("T")


class ModelStore:
    """One client of the model, with its own faults. Implements `core.ports.Store`.

    `pushes` says whether the cluster has `_fleet/global_checkpoints`, which the embedded server lacks.
    `latency_s` says how long each way of each request takes; without it both are instant. `requests` counts what was
    asked, by operation.
    """

    def __init__(
        self, cluster: ModelElasticsearch, *, latency_s: Callable[[], float] | None = None, pushes: bool = False
    ) -> None:
        self.cluster = cluster
        self.pushes = pushes
        self.faults = Faults()
        self.requests: dict[str, int] = {}
        self._latency_s = latency_s
        self._late: set[asyncio.Task[None]] = set()

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        operations = parse_bulk(lines, index)
        indices = {operation.index for operation in operations}
        return await self._request("bulk", indices, lambda faults: self._apply(operations, faults), write=True)

    async def get(self, index: str, id: str) -> StoredDocument | None:
        (found,) = await self._request("get", [index], lambda _faults: self._read(index, [id]))
        return found

    async def mget(self, index: str, ids: Sequence[str]) -> list[StoredDocument | None]:
        if not ids:
            return []
        return await self._request("mget", [index], lambda _faults: self._read(index, ids))

    async def search(self, index: str | None, body: Mapping[str, Any]) -> SearchPage:
        # Encoded and decoded, as on the wire: a body that is no JSON fails here too.
        sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(body))
        return await self._request("search", [index or "_pit"], lambda _faults: self._search(index, sent))

    async def search_many(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[SearchPage]:
        if not bodies:
            return []
        sent: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(bodies))
        return await self._request("search_many", [index], lambda _faults: [self._search(index, one) for one in sent])

    async def open_pit(self, index: str, *, keep_alive_ms: int) -> str:
        return await self._request("open_pit", [index], lambda _faults: self.cluster.open_pit(index, keep_alive_ms))

    async def close_pit(self, pit_id: str) -> None:
        await self._request("close_pit", [], lambda _faults: self.cluster.close_pit(pit_id))

    async def refresh(self, index: str) -> None:
        def refresh(_faults: object) -> None:
            for one in self.cluster.resolve(index):
                one.refresh()

        await self._request("refresh", [index], refresh)

    async def create_index(self, index: str) -> None:
        def create(_faults: object) -> None:
            if index not in self.cluster.indices:
                self.cluster.create_from_template(index)

        await self._request("create_index", [index], create)

    async def delete_index(self, index: str) -> None:
        def delete(_faults: object) -> None:
            if index in self.cluster.indices:
                self.cluster.delete_index(index)

        await self._request("delete_index", [index], delete)

    async def checkpoint(self, index: str) -> Checkpoint:
        def read(_faults: object) -> Checkpoint:
            one = self.cluster.one_index(index)
            return Checkpoint(one.uuid, one.global_checkpoint, one.max_seq_no)

        return await self._request("checkpoint", [index], read)

    async def checkpoints(self, indices: Sequence[str]) -> dict[str, Checkpoint]:
        def read(_faults: object) -> dict[str, Checkpoint]:
            there = [name for name in indices if name in self.cluster.indices or self.cluster.is_alias(name)]
            found = [one for name in there for one in self.cluster.resolve(name)]
            return {one.name: Checkpoint(one.uuid, one.global_checkpoint, one.max_seq_no) for one in found}

        return await self._request("checkpoints", indices, read)

    async def wait_past(self, index: str, checkpoint: int, *, wait_ms: int) -> int | None:
        if not self.pushes:
            raise StoreRejected(f"no handler found for uri [/{index}/_fleet/global_checkpoints]", 400)
        await self._request("wait_past", [index], lambda _faults: None)
        reached = await self.cluster.wait_past(index, checkpoint, wait_ms)
        if self._latency_s is not None:
            await asyncio.sleep(self._latency_s())
        return reached

    async def resolve_write_index(self, alias: str) -> str:
        def resolve(_faults: object) -> str:
            if not self.cluster.is_alias(alias):
                raise StoreRejected(f"alias [{alias}] missing", 404)
            return self.cluster.write_index(alias).name

        return await self._request("resolve_write_index", [alias], resolve)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the embedded server, but for what `pushes` says."""
        return Capabilities(version="8.19.8", fleet=self.pushes)

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        sent: Any = None if body is None else msgspec.json.decode(msgspec.json.encode(body))
        answer = await self._request("request", [path], lambda _faults: administer(self.cluster, method, path, sent))
        status, found = answer
        return status, msgspec.json.decode(msgspec.json.encode(found))

    async def _request(
        self, operation: str, indices: Iterable[str], effect: Callable[[Sequence[Fault]], T], *, write: bool = False
    ) -> T:
        """One round trip: the way there, the effect, the way back, each with what is planned to go wrong on it."""
        self.requests[operation] = self.requests.get(operation, 0) + 1
        faults = self.faults.take(operation, list(indices))
        by_kind = {fault.kind: fault for fault in faults}
        unknown = OutcomeUnknown if write else StoreUnavailable
        if "cut_off" in by_kind:
            raise StoreUnavailable(f"{operation}: cannot connect")
        if "land_late" in by_kind:
            self._land_late(by_kind["land_late"].delay_ms, lambda: effect(faults))
            raise unknown(f"{operation}: no answer in time")
        await self._travel(faults, "before")
        if "refuse" in by_kind:
            raise _refusal(operation, by_kind["refuse"].status)
        if "lose_request" in by_kind:
            raise unknown(f"{operation}: the connection was lost")
        answer = effect(faults)
        await self._travel(faults, "after")
        if "lose_answer" in by_kind:
            raise unknown(f"{operation}: the connection was lost")
        return answer

    async def _travel(self, faults: Sequence[Fault], moment: str) -> None:
        if self._latency_s is not None:
            await asyncio.sleep(self._latency_s())
        for fault in faults:
            if fault.kind == "delay" and moment == "before":
                await asyncio.sleep(fault.delay_ms / 1000)
            if fault.kind == "hold" and moment == fault.moment:
                await fault.held.stand_still()

    def _land_late(self, delay_ms: int, effect: Callable[[], object]) -> None:
        async def land() -> None:
            await asyncio.sleep(delay_ms / 1000)
            effect()

        task = asyncio.get_running_loop().create_task(land())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _apply(self, operations: Sequence[Operation], faults: Sequence[Fault]) -> list[BulkItem]:
        failing = [fault for fault in faults if fault.kind == "fail_items"]
        items: list[BulkItem] = []
        for operation in operations:
            fault = next((fault for fault in failing if fault.fits_item(operation)), None)
            if fault is None or fault.applied:
                item = self.cluster.apply(operation)
            if fault is not None:
                item = BulkItem(fault.status, operation.index, operation.id, None, fault.error_type, "injected")
            items.append(item)
        return items

    def _read(self, index: str, ids: Sequence[str]) -> list[StoredDocument | None]:
        found = self.cluster.one_index(index)
        return [_stored(found.name, document) if (document := found.documents.get(id)) else None for id in ids]

    def _search(self, index: str | None, body: dict[str, Any]) -> SearchPage:
        pit = body.get("pit")
        if (index is None) != (pit is not None):
            raise ModelDoesNotKnow("a search names either an index or a point in time")
        if pit is not None:
            visible = self.cluster.in_pit(pit["id"], _milliseconds(pit.get("keep_alive")))
        else:
            assert index is not None
            visible = [Visible(one, one.visible) for one in self.cluster.resolve(index)]
        try:
            asked = body.pop("aggs", None)
            hits, total = run_search(body, visible, in_pit=pit is not None)
            aggregations = None if asked is None else msgspec.json.encode(aggregate(asked, body, visible))
        except Refused as error:
            raise StoreRejected(str(error), 400, error.error_type) from error
        source = _sources(body.get("_source", True))
        with_version = body.get("seq_no_primary_term", False)
        return SearchPage(
            [
                StoredDocument(
                    hit.index,
                    hit.document.id,
                    source(hit.document.source),
                    hit.document.at if with_version else None,
                    hit.sort,
                )
                for hit in hits
            ],
            pit["id"] if pit is not None else None,
            _counted(total, body.get("track_total_hits", True)),
            aggregations,
        )


def _refusal(operation: str, status: int) -> StoreUnavailable | StoreRejected:
    if status in (429, 503):
        return StoreUnavailable(f"{operation}: {status}", status)
    return StoreRejected(f"{operation}: {status}", status)


def _stored(index: str, document: Document) -> StoredDocument:
    return StoredDocument(index, document.id, document.source, document.at)


def _counted(total: int, asked: Any) -> int | None:
    """How many hits are said to be: all, none of it, or up to a bound."""
    if isinstance(asked, bool):
        return total if asked else None
    if not isinstance(asked, int):
        raise ModelDoesNotKnow(f"track_total_hits: {asked!r}")
    return min(total, asked)


def _sources(asked: Any) -> Callable[[bytes], bytes]:
    """What is sent of a source: all, nothing, or the named fields."""
    if isinstance(asked, bool):
        return (lambda source: source) if asked else (lambda _source: b"")
    if not isinstance(asked, list) or any("*" in name for name in asked):
        raise ModelDoesNotKnow(f"_source: {asked!r}")
    return lambda source: msgspec.json.encode(_part(msgspec.json.decode(source), asked))


def _part(source: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The named fields, of whatever depth; objects on the way hold nothing else."""
    part: dict[str, Any] = {}
    for key, value in source.items():
        inner = [name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}.")]
        if key in names:
            part[key] = value
        elif inner and isinstance(value, dict) and (found := _part(value, inner)):
            part[key] = found
    return part


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.endswith("ms"):
        raise ModelDoesNotKnow(f"keep_alive {text!r}: give milliseconds")
    return int(text.removesuffix("ms"))
