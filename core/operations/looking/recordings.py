"""Recordings of instances, put together from lanes and history; and their replays.

Any replica can make one: what an instance was last is its live document or its last row; the events before that are in
parts of its log and in the tail beside the state; results that the state no longer holds are in the rows of attempts,
and in those of children. Everything is bound to the caller's tenant.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec import Raw, Struct

from ....claim.wire import RecordingList, RecordingView, ReplayDifference, ReplayView
from ....definitions import DefinitionError, Plan, TemplateError, load
from ...engine import Engine
from ...errors import InvalidRequest, NotFound
from ...es.ended_instances import ended_instances_body
from ...es.rows_by_id import ROWS_A_SEARCH, rows_by_id_body
from ...ids import lane_of
from ...lanes.memory.loading import read_whole
from ...machine.children import items_left
from ...machine.state import Instance, SideValue
from ...ports import StoredDocument
from ...principal import Principal
from ...replay import Recording, Replayed, Wanted, children_of, compare, decoded, missing_outputs, replay, restore
from ...violations import wire_violations
from .reads import Final, Reads

# What takes longer than some milliseconds leaves the event loop.
_LOAD_IN_THREAD_BYTES = 4_096
_REPLAY_IN_THREAD_EVENTS = 500
_PAGE_BYTES = 8_000_000
_CURSOR = re.compile(r"(\d{1,15})\.([0-9a-z-]{1,64})", re.ASCII)


P = ParamSpec("P")
T = TypeVar("T")


class _Log(Struct):
    log: list[Raw] = []


class _Output(Struct):
    output: str | None = None


class _StepRow(Struct):
    step: _Output
    stripped: bool = False


class _EndRow(Struct):
    outputs: str | None = None
    stripped: bool = False


class Recordings:
    """Reads them for a principal."""

    def __init__(self, engine: Engine, reads: Reads) -> None:
        self._engine = engine
        self._reads = reads

    async def view(self, principal: Principal, instance_id: str) -> RecordingView:
        """One recording. Raises: NotFound."""
        return _view(await self.recording(principal, instance_id, "get_recording"))

    async def recording(self, principal: Principal, instance_id: str, action: str) -> Recording:
        """`action`: the operation that asks, for the trail. Raises: NotFound."""
        found = await self._live(instance_id) or await self._reads.final(instance_id)
        if found is None or not self._engine.access.sees(principal, found.instance, action):
            raise NotFound("instance", instance_id)
        return await self._made(found)

    async def of(self, final: Final) -> Recording:
        """The recording of a state that the caller holds, such as an owner's of a live instance."""
        return await self._made(final)

    async def last(self, principal: Principal, name: str, *, size: int, after: str | None) -> RecordingList:
        """A page of those of a workflow that have ended, newest first; shorter where recordings are large.

        Raises: InvalidRequest for an `after` that no page gave.
        """
        views: list[RecordingView] = []
        written = 0
        async for hit, more in self._ended(principal, name, size, _cursor(after)):
            final = _final_decoder.decode(hit.source)
            views.append(_view(await self._made(final)))
            written += len(views[-1].recording)
            if more and (len(views) == size or written > _PAGE_BYTES):
                return RecordingList(views, f"{hit.sort[0]}.{hit.sort[1]}")
        return RecordingList(views)

    async def replay(
        self, principal: Principal, instance_id: str, *, version: int | None = None, source: bytes | None = None
    ) -> ReplayView:
        """The instance's past under its own version, under another stored one, or under the definition in `source`.

        Raises: NotFound; InvalidRequest with the violations of a definition that is none.
        """
        recording = await self.recording(principal, instance_id, "replay" if source is None else "replay_under")
        instance = recording.instance
        own = await self._plan(instance, instance.version)
        if source is not None:
            other = await _off_the_loop(len(source) > _LOAD_IN_THREAD_BYTES, _compiled, source, instance.workflow)
        else:
            other = own if version is None else await self._plan(instance, version)
        events = len(recording.events) + sum(len(share.events) for share in recording.shares.values())
        replayed = await _off_the_loop(events > _REPLAY_IN_THREAD_EVENTS, _replayed, recording, own, other)
        return _replay_view(recording, replayed, other)

    async def _plan(self, instance: Instance, version: int) -> Plan:
        return await self._engine.catalog.plan(instance.definition_tenant, instance.workflow, version)

    async def _ended(
        self, principal: Principal, name: str, size: int, after: Sequence[Any] | None
    ) -> AsyncIterator[tuple[StoredDocument, bool]]:
        """The last ends of a workflow's instances, one an instance, each with whether there may be more."""
        seen: set[str] = set()
        while True:
            body = ended_instances_body(principal=principal, workflow=name, after=after, size=size)
            hits = (await self._engine.store.search(self._engine.names.instances, body)).hits
            for position, hit in enumerate(hits):
                instance_id = hit.sort[1]
                if instance_id not in seen:
                    seen.add(instance_id)
                    yield hit, position + 1 < len(hits) or len(hits) == size
            if len(hits) < size:
                return
            after = hits[-1].sort

    async def _live(self, instance_id: str) -> Final | None:
        """The live document's state and log, in the form of an end."""
        lane = lane_of(instance_id)
        if lane is None:
            return None
        found = await read_whole(self._engine.store, self._engine.names.lane(lane), instance_id)
        if found is None:
            return None
        instance, bookkeeping = found
        return Final(instance, bookkeeping.log, bookkeeping.log_parts)

    async def _made(self, final: Final) -> Recording:
        """The recording of an instance, or of a share of a foreach."""
        instance = final.instance
        missing: list[str] = ["the log and the payloads, which Elasticsearch refused"] if final.stripped else []
        ids = [f"{instance.id}:events:{part}" for part in range(1, final.log_parts + 1)]
        rows = await self._rows(self._engine.names.events, ids)
        missing += [f"part {id.rpartition(':')[2]} of the log of {instance.id}" for id in ids if id not in rows]
        parts = [_log_decoder.decode(rows[id]).log for id in ids if id in rows]
        events = decoded([entry for part in [*parts, final.log] for entry in part])
        shares = await self._shares(children_of(instance, events))
        outputs = await self._outputs(instance, missing_outputs(instance, events), shares)
        recording = restore(instance, events, outputs, shares)
        return msgspec.structs.replace(recording, missing=[*missing, *recording.missing]) if missing else recording

    async def _shares(self, children: Sequence[str]) -> dict[str, Recording]:
        """Those of the children that run items of a foreach; the others are instances of their own."""
        rows = await self._rows(self._engine.names.events, children)
        shares = {id: await self._made(_final_decoder.decode(row)) for id, row in rows.items()}
        for id in children:
            if id not in shares and (found := await self._live(id)) is not None and found.instance.items is not None:
                shares[id] = await self._made(found)
        return shares

    async def _outputs(
        self, instance: Instance, wanted: Sequence[Wanted], shares: dict[str, Recording]
    ) -> dict[Wanted, Any]:
        found: dict[Wanted, Any] = {}
        names, whose = self._engine.names, instance.of or instance.id
        attempts = {f"{whose}:{one.path}:{one.attempt}": one for one in wanted if not one.child}
        for id, row in (await self._rows(names.steps, list(attempts))).items():
            step_row = _step_decoder.decode(row)
            if not step_row.stripped:
                found[attempts[id]] = _parsed(step_row.step.output)
        children = {one.child: one for one in wanted if one.child}
        for id, row in (await self._rows(names.instances, list(children))).items():
            end_row = _end_decoder.decode(row)
            if not end_row.stripped:
                found[children[id]] = _parsed(end_row.outputs)
        if shares.keys() & children.keys():
            plan = await self._plan(instance, instance.version)
            for id in shares.keys() & children.keys():
                try:
                    found[children[id]] = items_left(shares[id].instance, plan)
                except TemplateError:
                    continue
        return found

    async def _rows(self, index: str, ids: Sequence[str]) -> dict[str, bytes]:
        """The rows of these ids, as far as history has them; what is not found at once may only need a refresh."""
        found = await self._found(index, ids)
        rest = [id for id in ids if id not in found]
        if rest:
            await self._engine.store.refresh(index)
            found |= await self._found(index, rest)
        return found

    async def _found(self, index: str, ids: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for first in range(0, len(ids), ROWS_A_SEARCH):
            page = await self._engine.store.search(index, rows_by_id_body(ids[first : first + ROWS_A_SEARCH]))
            found |= {hit.id: hit.source for hit in page.hits}
        return found


_final_decoder = msgspec.json.Decoder(Final)
_log_decoder = msgspec.json.Decoder(_Log)
_step_decoder = msgspec.json.Decoder(_StepRow)
_end_decoder = msgspec.json.Decoder(_EndRow)


def _in_full(value: Any) -> Any:
    if type(value) is SideValue:
        return value.value
    raise NotImplementedError(f"{type(value).__name__} is no JSON value")


_encode = msgspec.json.Encoder(enc_hook=_in_full).encode


def _view(recording: Recording) -> RecordingView:
    instance = recording.instance
    return RecordingView(
        instance.id, instance.workflow, instance.version, instance.status.value, Raw(_encode(recording))
    )


def _parsed(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


async def _off_the_loop(in_thread: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(function, *args, **kwargs) if in_thread else function(*args, **kwargs)


def _compiled(source: bytes, name: str) -> Plan:
    """Raises: InvalidRequest."""
    try:
        definitions = load(source, managed=True)
    except DefinitionError as error:
        raise InvalidRequest(error.summary, wire_violations(error.violations)) from error
    for definition in definitions:
        if definition.name == name:
            return definition.compile()
    found = ", ".join(definition.name for definition in definitions)
    raise InvalidRequest(f"the body defines {found}; the instance is one of {name}")


def _replayed(recording: Recording, own: Plan, other: Plan) -> Replayed:
    return replay(recording, own) if other is own else compare(recording, own, other)


def _replay_view(recording: Recording, replayed: Replayed, plan: Plan) -> ReplayView:
    found = replayed.difference
    difference = None
    if found is not None:
        fields: dict[str, Any] = msgspec.structs.asdict(found)
        difference = ReplayDifference(**fields, message=str(found))
    instance = recording.instance
    return ReplayView(
        instance.id,
        instance.workflow,
        instance.version,
        plan.version,
        replayed.same,
        replayed.events,
        difference,
        replayed.missing,
    )


def _cursor(after: str | None) -> tuple[int, str] | None:
    """Raises: InvalidRequest."""
    if after is None:
        return None
    match = _CURSOR.fullmatch(after)
    if match is None:
        raise InvalidRequest("`after` is what the page before gave as `next`")
    return int(match[1]), match[2]
