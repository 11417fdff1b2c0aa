"""Dead letters: the instances that ended `failed` and that nobody has brought back since. To be listed, and re-driven.

They are history's rows, so any replica lists them. A row counts as long as it is its instance's last end and no live
document of the instance stands in a lane; both are looked at for each page, so the list agrees with the truth.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from ....claim.wire import ErrorInfo, FailedInstance, FailedList, RetryResult
from ...engine import Engine
from ...errors import InvalidRequest, LeaseholdError, StoreRejected
from ...es.failed_instances import failed_instances_body, later_ends_body
from ...ids import lane_of
from ...lanes import codec
from ...machine.state import Instance, InstanceStatus
from ...orders import Retry
from ...ports import StoredDocument
from ...principal import Principal
from ...problems import problem_of
from .steering import Steering

_PAGE = 200
_AT_ONCE = 16


class Filter(Struct, frozen=True, omit_defaults=True):
    """Which dead letters. `since_ms`: that failed no earlier; `label`: `key=value`."""

    workflow: str | None = None
    since_ms: int | None = None
    error_type: str | None = None
    label: str | None = None


class _Workflow(Struct):
    id: str
    name: str = ""
    version: int = 0


class _Row(Struct):
    workflow: _Workflow
    timestamp: datetime | None = field(name="@timestamp", default=None)
    created_at: datetime | None = None
    tenant: str = ""
    space: str = ""
    error: ErrorInfo | None = None
    labels: list[str] = []
    started_by: str | None = None
    redrives: int = 0


class DeadLetters:
    """Lists them for a principal's tenant, and brings them back."""

    def __init__(self, engine: Engine, steering: Steering) -> None:
        self._engine = engine
        self._steering = steering

    async def page(self, principal: Principal, which: Filter, *, after: str | None, size: int) -> FailedList:
        """One page. Raises: InvalidRequest for an `after` that no page gave."""
        found: list[tuple[FailedInstance, tuple[Any, ...]]] = []
        async for one in self._walk(principal, which, _cursor(after)):
            found.append(one)
            if len(found) > size:
                break
        shown = found[:size]
        more = len(found) > size
        return FailedList([instance for instance, _ in shown], _written(shown[-1][1]) if more and shown else None)

    async def retry(self, principal: Principal, which: Filter, *, at_most: int, order: Retry) -> list[RetryResult]:
        """Bring back the newest of them; each has its own result."""
        ids: list[str] = []
        async for instance, _ in self._walk(principal, which, None):
            ids.append(instance.instance_id)
            if len(ids) == at_most:
                break
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(id: str) -> RetryResult:
            async with room:
                return await self._retry(principal, id, order)

        return list(await asyncio.gather(*(one(id) for id in ids)))

    async def _retry(self, principal: Principal, id: str, order: Retry) -> RetryResult:
        try:
            view = await self._steering.steer(principal, id, order)
        except LeaseholdError as error:
            problem = problem_of(error)
            return RetryResult(id, problem.status, problem=problem)
        return RetryResult(id, 200, view.status)

    async def _walk(
        self, principal: Principal, which: Filter, after: Sequence[Any] | None
    ) -> AsyncIterator[tuple[FailedInstance, tuple[Any, ...]]]:
        """Dead letters, newest first, each with its place in the list."""
        store, index = self._engine.store, self._engine.names.instances
        while True:
            body = failed_instances_body(
                principal=principal,
                workflow=which.workflow,
                since_ms=which.since_ms,
                error_type=which.error_type,
                label=which.label,
                after=after,
                size=_PAGE,
            )
            hits = (await store.search(index, body)).hits
            for row, place in await self._dead(hits):
                yield _shown(row), place
            if len(hits) < _PAGE:
                return
            after = hits[-1].sort

    async def _dead(self, hits: Sequence[StoredDocument]) -> list[tuple[_Row, tuple[Any, ...]]]:
        """Those whose instance has neither ended again since nor lives."""
        rows = [(_decoder.decode(hit.source), hit.sort) for hit in hits]
        ids = sorted({row.workflow.id for row, _ in rows})
        if not ids:
            return []
        ends = await self._engine.store.search(self._engine.names.instances, later_ends_body(ids))
        last: dict[str, int] = {}
        for hit in ends.hits:
            row = _decoder.decode(hit.source)
            last[row.workflow.id] = max(row.redrives, last.get(row.workflow.id, 0))
        live = await self._live(ids)
        return [(row, place) for row, place in rows if _is_last(row, last.get(row.workflow.id, 0), live)]

    async def _live(self, ids: Sequence[str]) -> dict[str, Instance]:
        """Those of them that have a document in their lane, as it stands."""
        by_lane: dict[str, list[str]] = {}
        for id in ids:
            lane = lane_of(id)
            if lane is not None:
                by_lane.setdefault(lane, []).append(id)
        found: dict[str, Instance] = {}
        for lane, of_lane in by_lane.items():
            for document in await self._documents(lane, of_lane):
                if document is not None:
                    found[document.id] = codec.decode_document(document.source)[0]
        return found

    async def _documents(self, lane: str, ids: Sequence[str]) -> Sequence[StoredDocument | None]:
        try:
            return await self._engine.store.mget(self._engine.names.lane(lane), ids)
        except StoreRejected as error:
            if error.status == 404:
                # The lane has been removed, which takes that nothing lives in it.
                return ()
            raise


_decoder = msgspec.json.Decoder(_Row)


def _is_last(row: _Row, last: int, live: Mapping[str, Instance]) -> bool:
    """Whether the row is its instance's last end, and what its lane still holds of it is this very end."""
    instance = live.get(row.workflow.id)
    if instance is not None and (instance.redrives != row.redrives or instance.status is not InstanceStatus.FAILED):
        return False
    return row.redrives == last


def _shown(row: _Row) -> FailedInstance:
    return FailedInstance(
        instance_id=row.workflow.id,
        workflow=row.workflow.name,
        version=row.workflow.version,
        tenant=row.tenant,
        space=row.space,
        created_at_ms=_ms(row.created_at),
        failed_at_ms=_ms(row.timestamp),
        error=row.error,
        labels=row.labels,
        started_by=row.started_by,
        redrives=row.redrives,
    )


def _ms(at: datetime | None) -> int:
    return 0 if at is None else round(at.timestamp() * 1_000)


def _written(place: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _cursor(text: str | None) -> tuple[int, str] | None:
    """A place in the list, as `_written` wrote it."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=tuple[int, str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise InvalidRequest(
            "the query parameter after is no `next` of an earlier page; leave it out to begin"
        ) from None
