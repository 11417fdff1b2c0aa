"""The calls of an instance's attempts, call by call: what an agent asked of its tools and models, and what it got."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ....claim.wire import AttemptCalls, Call, CallsView
from ...engine import Engine
from ...errors import NotFound
from ...es.recorded_calls import attempt_calls_body, call_lots_body
from ...history_records import CallsRecord
from ...ids import lane_of
from ...lanes import codec
from ...principal import Principal
from .reads import Reads

_PAGE = 500


class _Step(Struct):
    path: str
    attempt: int
    outcome: str | None = None


class _Row(Struct):
    step: _Step
    part: int = 0
    worker: str | None = None
    calls: list[Call] = []


class _Attempt(Struct):
    """`lots` maps their numbers to them; `last` are the calls that the attempt's end brought."""

    lots: dict[int, list[Call]]
    last: list[Call] = []
    outcome: str | None = None
    worker: str | None = None


class Calls:
    """Any replica reads them: history has them, and what is on its way there stands in the live document."""

    def __init__(self, engine: Engine, reads: Reads) -> None:
        self._engine = engine
        self._reads = reads

    async def of(self, principal: Principal, instance_id: str, path: str | None) -> CallsView:
        """By run path, attempt, and the order in which they were made. Raises: NotFound."""
        if await self._reads.stored(principal, instance_id, "get_calls") is None:
            raise NotFound("instance", instance_id)
        attempts: dict[tuple[str, int], _Attempt] = {}
        await self._from_outbox(instance_id, path, attempts)
        await self._from_history(instance_id, path, attempts)
        views = [_view(place, attempts[place]) for place in sorted(attempts)]
        return CallsView(instance_id, [view for view in views if view.calls])

    async def _from_outbox(self, instance_id: str, path: str | None, attempts: dict[tuple[str, int], _Attempt]) -> None:
        """What is not confirmed in history, which is asked after it: what is confirmed meanwhile is found there."""
        lane = lane_of(instance_id)
        index = self._engine.names.lane(lane) if lane is not None and self._engine.control.state(lane) else None
        document = None if index is None else await self._engine.store.get(index, instance_id)
        if document is None:
            return
        for entry in codec.decode_document(document.source)[1].outbox:
            told, record = entry.told, entry.record
            if isinstance(told, CallsRecord) and path in (None, told.path):
                attempt = _at(attempts, told.path, told.attempt)
                attempt.lots[entry.part] = list(told.calls)
                attempt.worker = told.worker
            elif record is not None and path in (None, record.path):
                attempt = _at(attempts, record.path, record.attempt)
                attempt.last, attempt.outcome, attempt.worker = list(record.calls), record.outcome, record.worker

    async def _from_history(
        self, instance_id: str, path: str | None, attempts: dict[tuple[str, int], _Attempt]
    ) -> None:
        store, names = self._engine.store, self._engine.names
        for index in (names.events, names.steps):
            # Somebody wants to see what has just happened, and does so rarely.
            await store.refresh(index)
        async for row in self._rows(names.events, call_lots_body, instance_id, path):
            attempt = _at(attempts, row.step.path, row.step.attempt)
            attempt.lots[row.part] = row.calls
            attempt.worker = attempt.worker or row.worker
        async for row in self._rows(names.steps, attempt_calls_body, instance_id, path):
            attempt = _at(attempts, row.step.path, row.step.attempt)
            attempt.last, attempt.outcome, attempt.worker = row.calls, row.step.outcome, row.worker

    async def _rows(
        self, index: str, body: Callable[..., dict[str, Any]], instance_id: str, path: str | None
    ) -> AsyncIterator[_Row]:
        after: Sequence[Any] | None = None
        while True:
            page = await self._engine.store.search(index, body(instance_id, path=path, after=after, size=_PAGE))
            for hit in page.hits:
                yield _decoder.decode(hit.source)
            if len(page.hits) < _PAGE:
                return
            after = page.hits[-1].sort


_decoder = msgspec.json.Decoder(_Row)


def _at(attempts: dict[tuple[str, int], _Attempt], path: str, attempt: int) -> _Attempt:
    return attempts.setdefault((path, attempt), _Attempt({}))


def _view(place: tuple[str, int], attempt: _Attempt) -> AttemptCalls:
    """Lot by lot, then the last ones. A call that was reported twice has its number both times."""
    calls: list[Call] = []
    numbered: set[bytes] = set()
    for call in [*(call for part in sorted(attempt.lots) for call in attempt.lots[part]), *attempt.last]:
        if call.number:
            written = msgspec.json.encode(call)
            if written in numbered:
                continue
            numbered.add(written)
        calls.append(call)
    return AttemptCalls(place[0], place[1], calls, attempt.outcome, attempt.worker)
