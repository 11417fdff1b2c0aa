"""The registry: which lanes exist, and which of them are on their way out.

One document in the control index, changed by conditional writes. A lane that is not named in `leaving` is active. On
its way out a lane is `draining` (it takes no new instances and goes on with those it holds), then `drained` (it holds
none; its index stays, since idempotency keys may name it), then `removing`, then gone. Numbers are never used again, so
that an instance's id names one lane for all time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from ....ilm import IndexNames
from ...errors import Conflict, InvalidRequest, NotFound, OutcomeUnknown, StoreError
from ...es.lines import index_line
from ...ports import Store, StoredDocument

REGISTRY = "lanes"
LANES_MAX = 64
# Each is an index to be made, and one request is to be answered within seconds.
LANES_AT_ONCE = 8
_ATTEMPTS = 10

LaneState = Literal["active", "draining", "drained", "removing"]


class Leaving(Struct, frozen=True, kw_only=True):
    """Since when (wall clock) a lane is in which state on its way out."""

    state: Literal["draining", "drained", "removing"]
    since_ms: int


class Registry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lanes that exist. `next` is the number of the lane to be added next, 0 as long as none was added."""

    kind: Literal["lanes"] = "lanes"
    lanes: list[str]
    leaving: dict[str, Leaving] = {}
    next: int = 0

    def state(self, lane: str) -> LaneState | None:
        """None for a lane that does not exist."""
        if lane not in self.lanes:
            return None
        leaving = self.leaving.get(lane)
        return "active" if leaving is None else leaving.state

    @property
    def active(self) -> list[str]:
        """The lanes that take new instances."""
        return [lane for lane in self.lanes if lane not in self.leaving]

    @property
    def next_number(self) -> int:
        return max([self.next, *(int(lane) + 1 for lane in self.lanes)])

    def was_removed(self, lane: str) -> bool:
        """Whether a lane of this name existed once."""
        return lane not in self.lanes and lane.isdecimal() and int(lane) < self.next_number


def next_lanes(registry: Registry, count: int) -> list[str]:
    """The names of the next `count` lanes. Raises: InvalidRequest when that would be too many."""
    if len(registry.lanes) + count > LANES_MAX:
        raise InvalidRequest(
            f"{len(registry.lanes)} lanes exist and {count} are to be added; at most {LANES_MAX} are allowed: drain and"
            " remove some first"
        )
    return [f"{number:02d}" for number in range(registry.next_number, registry.next_number + count)]


def with_lanes(registry: Registry, lanes: list[str]) -> Registry:
    """Lanes whose indices and lease documents stand join."""
    added = msgspec.structs.replace(registry, lanes=[*registry.lanes, *lanes])
    return msgspec.structs.replace(added, next=added.next_number)


def with_draining(registry: Registry, lane: str, now_ms: int) -> Registry:
    """The lane takes no new instances; nothing changes if it does not already.

    Raises: NotFound; Conflict when no other lane takes any.
    """
    if _state(registry, lane) != "active":
        return registry
    if registry.active == [lane]:
        raise Conflict(f"lane {lane} is the only one that takes new instances; add another first (leasehold lanes add)")
    return _with(registry, lane, Leaving(state="draining", since_ms=now_ms))


def with_drained(registry: Registry, lane: str, now_ms: int) -> Registry:
    """The draining lane holds no instance any more."""
    if registry.state(lane) != "draining":
        return registry
    return _with(registry, lane, Leaving(state="drained", since_ms=now_ms))


def with_refilled(registry: Registry, lane: str, now_ms: int) -> Registry:
    """A lane that was to be removed holds instances after all: a repeated keyed start came in between."""
    if registry.state(lane) != "removing":
        return registry
    return _with(registry, lane, Leaving(state="draining", since_ms=now_ms))


def removable_at_ms(registry: Registry, lane: str, kept_ms: int) -> int | None:
    """From when on a drained lane may be removed; None for one that is not drained."""
    leaving = registry.leaving.get(lane)
    return None if leaving is None or leaving.state != "drained" else leaving.since_ms + kept_ms


def with_removing(registry: Registry, lane: str, now_ms: int, *, kept_ms: int, early: bool, until: str) -> Registry:
    """The drained lane is to go; nothing changes if it is going already.

    `until` says in words until when it is kept. Raises: NotFound; Conflict when it is not drained, or is kept still.
    """
    state = _state(registry, lane)
    if state == "removing":
        return registry
    if state == "active":
        raise Conflict(f"lane {lane} takes new instances; drain it first (leasehold lanes drain {lane})")
    if state == "draining":
        raise Conflict(f"lane {lane} is draining and may hold instances; it can be removed once it is drained")
    kept_until_ms = removable_at_ms(registry, lane, kept_ms)
    if not early and kept_until_ms is not None and now_ms < kept_until_ms:
        raise Conflict(
            f"lane {lane} is drained, and its index is kept until {until}, since idempotency keys may name it; come"
            f" back then, or give them up with `leasehold lanes remove {lane} --yes` (`early=true`)"
        )
    return _with(registry, lane, Leaving(state="removing", since_ms=now_ms))


def without(registry: Registry, lane: str) -> Registry:
    """The lane is gone, and its number is never used again."""
    leaving = {name: entry for name, entry in registry.leaving.items() if name != lane}
    return Registry(lanes=[name for name in registry.lanes if name != lane], leaving=leaving, next=registry.next_number)


class LaneRegistry:
    """The stored registry. Who changes it tells the replicas to look; all others find out at their next pass."""

    def __init__(self, store: Store, names: IndexNames) -> None:
        self._store = store
        self._index = names.control

    async def read(self) -> tuple[Registry, StoredDocument]:
        """Raises: StoreError."""
        found = await self._store.get(self._index, REGISTRY)
        if found is None:
            raise StoreError(f"the document {REGISTRY!r} of {self._index} is missing; a replica's start creates it")
        return msgspec.json.decode(found.source, type=Registry), found

    async def write(self, registry: Registry, over: StoredDocument) -> bool:
        """Whether it was written over that very version. Raises: StoreError."""
        assert over.version is not None
        line = index_line(REGISTRY, over.version.seq_no, over.version.primary_term)
        (item,) = await self._store.bulk([line, msgspec.json.encode(registry)], index=self._index)
        if item.status not in (200, 409):
            raise StoreError(f"the registry of lanes could not be written: {item.status} {item.error_reason}")
        return item.status == 200

    async def change(self, edit: Callable[[Registry], Registry]) -> Registry:
        """Apply an edit that may be applied twice. Raises: what the edit raises; StoreError."""
        for _ in range(_ATTEMPTS):
            registry, found = await self.read()
            edited = edit(registry)
            if edited == registry:
                return registry
            try:
                if await self.write(edited, found):
                    return edited
            except OutcomeUnknown:
                # The next round reads what became of it.
                continue
        raise StoreError("the registry of lanes is being changed by others all the time; ask again")


def _state(registry: Registry, lane: str) -> LaneState:
    state = registry.state(lane)
    if state is None:
        raise NotFound("lane", lane)
    return state


def _with(registry: Registry, lane: str, leaving: Leaving) -> Registry:
    return msgspec.structs.replace(registry, leaving={**registry.leaving, lane: leaving})
