"""One replica's retention: which jobs are its own at the moment, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from ...ilm.policies import retention_ms
from ..errors import LeaseholdError
from .chains import Chains
from .keys import Keys
from .left_behind import LeftBehind
from .memories import Memories
from .places_of_groups import PlacesOfGroups
from .sides import Sides
from .usage_days import UsageDays

if TYPE_CHECKING:
    from ..engine import Engine

log = structlog.get_logger(__name__)


class Retention:
    """`pass_once` does what is due; `run` does it at the pace of the settings."""

    def __init__(self, engine: Engine, owns_first_lane: Callable[[], bool]) -> None:
        self._engine = engine
        self._owns_first_lane = owns_first_lane
        self._settings = settings = engine.settings.retention
        store, names, clock, metrics = engine.store, engine.names, engine.clock, engine.metrics
        registry = engine.control
        self._keys = Keys(
            store=store,
            names=names,
            clock=clock,
            metrics=metrics,
            kept_ms=settings.keys_kept_ms,
            registry=lambda: registry.registry,
        )
        self._memories = Memories(
            store=store, names=names, clock=clock, metrics=metrics, kept_ms=settings.memory_kept_ms
        )
        self._usage_days = UsageDays(
            store=store, names=names, clock=clock, metrics=metrics, kept_days=settings.usage_kept_days
        )
        self._places = PlacesOfGroups(
            store=store,
            names=names,
            clock=clock,
            metrics=metrics,
            kept_ms=settings.groups_kept_ms,
            places=engine.places,
            was_removed=engine.lane_removed,
        )
        self._chains = Chains(store=store, names=names, clock=clock, metrics=metrics, kept_ms=self._audit_kept_ms)
        self.sides = Sides(store=store, names=names, clock=clock, metrics=metrics)
        self.left_behind = LeftBehind(
            store=store, names=names, clock=clock, metrics=metrics, was_removed=engine.lane_removed
        )

    async def run(self) -> None:
        """Until cancelled. The first pass comes after one pause: whoever starts has other things to do."""
        while True:
            await asyncio.sleep(self._settings.every_ms / 1_000)
            await self.pass_once()

    async def pass_once(self) -> int:
        """Do all jobs that are this replica's; returns how many documents were cleared.

        What fails is logged, does not keep the others from being done, and is done by the next pass.
        """
        cleared = 0
        self._engine.metrics.loop("retention")
        for lane in list(self._engine.lanes.values()):
            for kind, over in (("side", self.sides.pass_over), ("group", self._places.pass_over)):
                if lane.open:
                    cleared += await self._do(kind, partial(over, lane))
        installation: list[tuple[str, Callable[[], Awaitable[int]]]] = [
            ("start", self._keys.pass_once),
            ("group", self._places.pass_once),
            ("memory", self._memories.pass_once),
            ("usage", self._usage_days.pass_once),
            ("chain", self._chains.pass_once),
            ("control", self.left_behind.pass_once),
        ]
        for kind, job in installation:
            if self._owns_first_lane():
                cleared += await self._do(kind, job)
        return cleared

    async def _audit_kept_ms(self) -> int | None:
        policy = (await self._engine.ageing.policies.of("audit")).policy
        return None if policy is None else retention_ms(policy)

    async def _do(self, kind: str, job: Callable[[], Awaitable[int]]) -> int:
        try:
            return await job()
        except LeaseholdError as error:
            log.warning("retention.pass_failed", kind=kind, error=str(error))
            self._engine.metrics.loop_failed("retention")
        except Exception:
            log.exception("retention.pass_failed", kind=kind)
            self._engine.metrics.loop_failed("retention")
        return 0
