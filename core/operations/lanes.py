"""What is asked about lanes: which there are, more of them, and fewer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from ..engine import Engine
from ..errors import Conflict, StoreError, Unavailable
from ..es.lines import create_line
from ..history_rows.rows import ActionFields, AuditRow, SourceFields, UserFields
from ..lanes.ownership.control import LaneLease
from ..lanes.ownership.registry import (
    LaneRegistry,
    LaneState,
    Registry,
    next_lanes,
    removable_at_ms,
    with_draining,
    with_lanes,
    with_removing,
)
from ..principal import EVERY_SPACE, EVERY_TENANT, Principal

_ATTEMPTS = 10
_GONE_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05


class LaneView(Struct, frozen=True, omit_defaults=True):
    """One lane as this replica sees it. Of a lane of its own: instances in memory, steps that can be claimed at once,
    and changes not yet written. What waits beyond that is in the lane's index alone.

    Of a lane on its way out: `instances`, what its index holds, and from when on it may be removed.
    """

    lane: str
    owner: str | None
    epoch: int
    mine: bool
    state: LaneState
    resident: int = 0
    ready: int = 0
    dirty: int = 0
    instances: int | None = None
    removable_at_ms: int | None = None
    address: str | None = None


class Lanes:
    """Any replica lists and changes lanes; their owners carry out what was changed, when they see it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registry = LaneRegistry(engine.store, engine.names)

    async def all(self) -> list[LaneView]:
        """Every lane, as this replica last saw its lease."""
        control = self._engine.control
        registry = control.registry
        return [await self._view(registry, lane, control.lease(lane)) for lane in sorted(registry.lanes)]

    async def add(self, count: int) -> list[LaneView]:
        """Create the next lanes and register them; replicas take them within a turn of theirs.

        The index first, then its lease document, then the registry: a lane that is registered is complete, and what a
        failure leaves behind is what the next one to add finds. Raises: InvalidRequest; StoreError.
        """
        for _ in range(_ATTEMPTS):
            registry, found = await self._registry.read()
            lanes = next_lanes(registry, count)
            for lane in lanes:
                await self._engine.store.create_index(self._engine.names.lane(lane))
            await self._create_leases(lanes)
            added = with_lanes(registry, lanes)
            if await self._registry.write(added, found):
                await self._engine.lanes_changed()
                return [await self._view(added, lane, None) for lane in lanes]
        raise StoreError("the registry of lanes is being changed by others all the time; ask again")

    async def drain(self, lane: str) -> LaneView:
        """Let the lane take no new instances. Raises: NotFound; Conflict when it is the last that does."""
        now_ms = self._engine.clock.now_ms()
        registry = await self._registry.change(lambda found: with_draining(found, lane, now_ms))
        await self._engine.lanes_changed()
        return await self._view(registry, lane, self._engine.control.lease(lane))

    async def remove(self, lane: str, *, early: bool) -> None:
        """Have a drained lane's index deleted, and wait until it is.

        `early`: although idempotency keys may still name it. Raises: NotFound; Conflict when it is not drained or is
        kept still; Unavailable when its owner has not done it in time.
        """
        engine = self._engine
        now_ms, kept_ms = engine.clock.now_ms(), engine.settings.lanes.kept_drained_ms

        def edit(found: Registry) -> Registry:
            until_ms = removable_at_ms(found, lane, kept_ms) or now_ms
            return with_removing(found, lane, now_ms, kept_ms=kept_ms, early=early, until=_in_words(until_ms))

        await self._registry.change(edit)
        await engine.lanes_changed()
        await self._gone(lane)

    async def tell(self, by: Principal, action: str, lanes: Sequence[str]) -> None:
        """Have the audit trail say who has changed which lanes; returns when it does. Raises: Unavailable."""
        now_ms = self._engine.clock.now_ms()
        row = AuditRow(
            timestamp=datetime.fromtimestamp(now_ms / 1_000, UTC),
            event=ActionFields(action, "success"),
            user=UserFields(by.name, by.roles, by.tenant, by.spaces),
            source=SourceFields(by.address) if by.address else None,
            tenant=EVERY_TENANT,
            space=EVERY_SPACE,
            details={"lanes": list(lanes)},
        )
        id = f"lanes:{self._engine.replica_id}:{now_ms}:{action}:{'+'.join(lanes)[:128]}"
        await self._engine.trail.write(id, msgspec.json.encode(row))

    async def _gone(self, lane: str) -> None:
        for _ in range(round(_GONE_WITHIN_S / _LOOK_EVERY_S)):
            state = (await self._registry.read())[0].state(lane)
            if state is None:
                await self._engine.lanes_changed()
                return
            if state != "removing":
                raise Conflict(f"lane {lane} is {state} again, since a repeated start found its instance there")
            await asyncio.sleep(_LOOK_EVERY_S)
        raise Unavailable(f"lane {lane} is to be removed, and its owner has not done it yet; ask again")

    async def _create_leases(self, lanes: list[str]) -> None:
        lines = [line for lane in lanes for line in (create_line(f"lane-{lane}"), _encoded(LaneLease(lane=lane)))]
        for item in await self._engine.store.bulk(lines, index=self._engine.names.control):
            if item.status not in (201, 409):
                raise StoreError(f"the lease of {item.id} could not be created: {item.status} {item.error_reason}")

    async def _view(self, registry: Registry, name: str, lease: LaneLease | None) -> LaneView:
        state = registry.state(name)
        assert state is not None
        lane = self._engine.lanes.get(name)
        return LaneView(
            lane=name,
            owner=None if lease is None else lease.owner,
            address=None if lease is None else lease.address,
            epoch=0 if lease is None else lease.epoch,
            mine=lane is not None and lane.open,
            state=state,
            resident=0 if lane is None else len(lane.residents),
            ready=0 if lane is None else lane.windows.offered,
            dirty=0 if lane is None else lane.committer.changed,
            instances=None if state == "active" else await self._instances(name),
            removable_at_ms=removable_at_ms(registry, name, self._engine.settings.lanes.kept_drained_ms),
        )

    async def _instances(self, lane: str) -> int | None:
        try:
            return await self._engine.draining.instances(lane)
        except StoreError:
            return None


def _encoded(lease: LaneLease) -> bytes:
    return msgspec.json.encode(lease)


def _in_words(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
