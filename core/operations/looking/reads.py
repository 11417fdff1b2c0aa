"""Reading instances: the live document by realtime GET, else the finished instance's record in history."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from ....claim.wire import InstanceView
from ....definitions.plan import Plan
from ...engine import Engine
from ...errors import NotFound
from ...es.finished import finished_instance_body, finished_share_body
from ...ids import lane_of
from ...lanes.memory.loading import read_whole
from ...machine import instance_view
from ...machine.state import Instance
from ...principal import Principal
from .shares import with_open_shares


class Stored(Struct, frozen=True):
    """An instance as the store holds it; `live` tells whether its document still stands in a lane."""

    instance: Instance
    live: bool


class Final(Struct, frozen=True):
    """An instance's last end, as history holds it: its state, and the part of its log that did not leave before."""

    instance: Instance
    log: list[Raw] = []
    log_parts: int = 0
    stripped: bool = False


class Reads:
    """Any replica can read any instance: an id carries its lane."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def stored(self, principal: Principal, instance_id: str, action: str) -> Stored | None:
        """The instance, if it exists and the principal may see it. `action`: the operation that asks, for the trail."""
        found = await self.unchecked(instance_id)
        visible = found is not None and self._engine.access.sees(principal, found.instance, action)
        return found if visible else None

    async def unchecked(self, instance_id: str) -> Stored | None:
        """The instance, if it exists; whether the caller may see it is for whoever asks here to say.

        A finished instance's document goes only after its record can be found, so looking at the document first and
        at history next misses nothing.
        """
        lane = lane_of(instance_id)
        if lane is None:
            return None
        return await self._live(lane, instance_id) or await self._finished(instance_id)

    async def find(self, principal: Principal, instance_id: str, action: str) -> InstanceView | None:
        found = await self.stored(principal, instance_id, action)
        if found is None:
            return None
        plan = await self._plan_of(found.instance)
        view = instance_view(found.instance, plan)
        return self._with_progress(await with_open_shares(self._engine, view, found.instance, plan), found.instance)

    async def view(self, principal: Principal, instance_id: str) -> InstanceView:
        """Raises: NotFound."""
        view = await self.find(principal, instance_id, "get_instance")
        if view is None:
            raise NotFound("instance", instance_id)
        return view

    async def view_of(self, instance: Instance) -> InstanceView:
        return instance_view(instance, await self._plan_of(instance))

    async def _plan_of(self, instance: Instance) -> Plan | None:
        try:
            return await self._engine.catalog.plan(instance.definition_tenant, instance.workflow, instance.version)
        except NotFound:
            return None

    def _with_progress(self, view: InstanceView, instance: Instance) -> InstanceView:
        """What heartbeats told of running attempts is in the owner's memory only: a bare renewal writes nothing."""
        lane = self._engine.lanes.get(view.instance_id.partition("-")[0])
        if lane is None:
            return view
        told: dict[str, tuple[float | None, str | None]] = {}
        # Run paths are the instance's own in itself and in its shares, not in sub-workflows.
        shares = [child for step in view.steps if step.kind == "foreach" for child in step.children]
        for id in (instance.id, *shares):
            resident = lane.residents.get(id)
            if resident is not None and resident.progress:
                told.update(resident.progress)
        if not told:
            return view
        steps = []
        for step in view.steps:
            progress, message = told.get(step.run_path, (None, None))
            steps.append(msgspec.structs.replace(step, progress=progress, message=message))
        return msgspec.structs.replace(view, steps=steps)

    async def _live(self, lane: str, instance_id: str) -> Stored | None:
        found = await read_whole(self._engine.store, self._engine.names.lane(lane), instance_id)
        return None if found is None else Stored(found[0], True)

    async def final(self, instance_id: str) -> Final | None:
        """How the instance ended, for the last time if it was brought back; whoever may see it.

        A share of a foreach is no instance to the outside, and has its row beside the event logs.
        """
        store, names = self._engine.store, self._engine.names
        page = await store.search(names.instances, finished_instance_body(instance_id))
        if not page.hits:
            page = await store.search(names.events, finished_share_body(instance_id))
        return _final_decoder.decode(page.hits[0].source) if page.hits else None

    async def _finished(self, instance_id: str) -> Stored | None:
        final = await self.final(instance_id)
        return None if final is None else Stored(final.instance, False)


_final_decoder = msgspec.json.Decoder(Final)
