"""Lanes on their way out, as their owner sees them: it says when one is empty, and takes away one that is to go.

Only the owner can: it alone creates instances in its lane, so between its closing the lane and its deleting the index
none comes. What it decides stands in the registry before it acts, so that the next owner goes on where it died.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import structlog

from ....ilm import IndexNames
from ...errors import StoreError, StoreRejected
from ...es.lane_count import lane_count_body
from ...es.lines import delete_line
from ...ports import Clock, Store
from ..lane import Lane
from .handover import answer_all
from .registry import LaneRegistry, LaneState, with_drained, with_refilled, without

log = structlog.get_logger(__name__)

_LOOK_EVERY_MS = 5_000


class Draining:
    """One replica's. `due` is cheap and asks nobody; `pass_once` does what is due.

    `state` is what the replica knows of a lane's state, `drop` takes a lane out of its hands, `lose` has it
    taken anew; `changed` is awaited after each change of the registry.
    """

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        state: Callable[[str], LaneState | None],
        drop: Callable[[Lane, str], None],
        lose: Callable[[Lane, str], None],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._state = state
        self._drop = drop
        self._lose = lose
        self._changed = changed
        self._registry = LaneRegistry(store, names)
        self._looked_ms: dict[str, int] = {}

    def due(self, lanes: Iterable[Lane]) -> list[Lane]:
        """The lanes that something is to be done about: to be removed, or perhaps empty by now."""
        return [lane for lane in lanes if lane.open and self._is_due(lane)]

    async def pass_once(self, lanes: Iterable[Lane]) -> None:
        """Raises: StoreError."""
        for lane in self.due(lanes):
            if self._state(lane.name) == "removing":
                await self._remove(lane)
            else:
                await self._look(lane)

    async def finish(self, name: str) -> bool:
        """Strike off a lane that was to be removed, if its index is gone; whether it is. Raises: StoreError."""
        try:
            await self._store.checkpoint(self._names.lane(name))
        except StoreRejected as error:
            if error.status != 404:
                raise
            await self._strike_off(name)
            return True
        return False

    async def instances(self, name: str) -> int:
        """How many instances stand in the lane. Raises: StoreError; StoreRejected(404) when it has no index."""
        index = self._names.lane(name)
        await self._store.refresh(index)
        return (await self._store.search(index, lane_count_body())).total or 0

    def _is_due(self, lane: Lane) -> bool:
        state = self._state(lane.name)
        if state != "draining":
            return state == "removing"
        looked_ms = self._looked_ms.get(lane.name)
        now_ms = self._clock.monotonic_ms()
        return _idle(lane) and (looked_ms is None or now_ms - looked_ms >= _LOOK_EVERY_MS)

    async def _look(self, lane: Lane) -> None:
        self._looked_ms[lane.name] = self._clock.monotonic_ms()
        if await self.instances(lane.name) == 0 and _idle(lane):
            log.info("lane.drained", lane=lane.name)
            await self._registry.change(lambda found: with_drained(found, lane.name, self._clock.now_ms()))
            await self._changed()

    async def _remove(self, lane: Lane) -> None:
        """Nothing comes in from here on; what came in before decides."""
        await answer_all([lane])
        try:
            if not _idle(lane) or await self.instances(lane.name):
                await self._registry.change(lambda found: with_refilled(found, lane.name, self._clock.now_ms()))
                self._lose(lane, "it was to be removed and holds instances after all")
                return
            await self._store.delete_index(self._names.lane(lane.name))
        except StoreError:
            self._lose(lane, "it was to be removed and that failed")
            raise
        self._drop(lane, "it has been removed")
        await self._strike_off(lane.name)

    async def _strike_off(self, name: str) -> None:
        await self._registry.change(lambda found: without(found, name))
        await self._store.bulk([delete_line(f"lane-{name}")], index=self._names.control)
        log.info("lane.removed", lane=name)
        await self._changed()


def _idle(lane: Lane) -> bool:
    """Nothing of the lane is in memory or on its way."""
    return not lane.residents and not lane.committer.changed
