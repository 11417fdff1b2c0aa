"""The cluster of the model of Elasticsearch: indices, aliases and points in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from leasehold.core.errors import StoreRejected
from leasehold.core.ports import BulkItem
from leasehold.ilm import CURRENT, IndexNames, Schema, lane_names

from .model_index import Bell, ModelIndex, Operation
from .model_search import Visible
from .virtual_time import EPOCH_MS


@dataclass(slots=True)
class _PointInTime:
    visible: list[Visible]
    expires_at_ms: int


class ModelElasticsearch:
    """A cluster with one node. Refreshes happen by request, and by interval where an index has one."""

    def __init__(self) -> None:
        self.indices: dict[str, ModelIndex] = {}
        self._aliases: dict[str, dict[str, bool]] = {}
        self._templates: dict[str, tuple[Mapping[str, Any], int, Mapping[str, str]]] = {}
        self._points_in_time: dict[str, _PointInTime] = {}
        self._made = 0
        self.made = Bell()

    def create_index(
        self,
        name: str,
        mapping: Mapping[str, Any],
        *,
        refresh_interval_ms: int | None = None,
        alias: str | None = None,
        write: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> ModelIndex:
        """An empty index; with `alias` it stands behind that alias, as its write index unless `write` is false.

        `settings` are flat ones, such as `index.priority`, which mean nothing to the model.
        """
        assert name not in self.indices
        self._made += 1
        index = ModelIndex(
            name, f"uuid-{self._made}", mapping, refresh_interval_ms=refresh_interval_ms, now_ms=loop_time_ms
        )
        index.settings.update(settings or {})
        index.settings["index.creation_date"] = str(self.wall_ms())
        self.indices[name] = index
        self.made.ring()
        if alias is not None:
            behind = self._aliases.setdefault(alias, {})
            if write:
                behind.update(dict.fromkeys(behind, False))
            behind[name] = write
        return index

    def delete_index(self, name: str) -> None:
        self.indices.pop(name).remove()
        for behind in self._aliases.values():
            behind.pop(name, None)

    def bootstrap(self, names: IndexNames, *, lanes: int, schema: Schema = CURRENT) -> None:
        """What `leasehold.ilm.bootstrap` leaves behind: every index, by the same mappings, and the list of lanes."""
        for family in schema.families:
            mapping = schema.mapping(family)
            interval_ms = int(family.settings["refresh_interval"].removesuffix("s")) * 1000
            base = f"{names.prefix}-{family.name}"
            settings = {f"index.{name}": str(value) for name, value in family.settings.items()}
            self._templates |= dict.fromkeys(family.patterns(names), (mapping, interval_ms, settings))
            if family.rolled:
                first = names.first(base)
                self.create_index(first, mapping, refresh_interval_ms=interval_ms, alias=base, settings=settings)
            elif family.numbered:
                for lane in lane_names(lanes):
                    self.create_index(names.lane(lane), mapping, refresh_interval_ms=interval_ms)
            else:
                self.create_index(base, mapping, refresh_interval_ms=interval_ms)
        registry = msgspec.json.encode({"kind": "lanes", "lanes": lane_names(lanes)})
        self.indices[names.control].apply(Operation("create", names.control, "lanes", registry))

    def create_from_template(self, name: str) -> ModelIndex:
        """An index as the template for its name makes it, bare where none fits."""
        for pattern, (mapping, interval_ms, settings) in self._templates.items():
            if fnmatchcase(name, pattern):
                return self.create_index(name, mapping, refresh_interval_ms=interval_ms, settings=settings)
        return self.create_index(name, {"dynamic": False, "properties": {}})

    def roll_over(self, alias: str, to: str | None = None) -> str:
        """A new write index behind the alias; returns its name, which is the next one unless `to` says another."""
        old = self.write_index(alias)
        base, _, number = old.name.rpartition("-")
        new = to or f"{base}-{int(number) + 1:06d}"
        settings = next((one[2] for pattern, one in self._templates.items() if fnmatchcase(new, pattern)), None)
        old.rolled_over[alias] = self.wall_ms()
        self.create_index(new, old.mapping, refresh_interval_ms=old.refresh_interval_ms, alias=alias, settings=settings)
        return new

    def wall_ms(self) -> int:
        """What the server takes for the time: that of `VirtualClock`, without skew."""
        return EPOCH_MS + loop_time_ms()

    def aliases_of(self, name: str) -> dict[str, bool]:
        """The aliases that an index stands behind, and whether it is their write index."""
        return {alias: behind[name] for alias, behind in self._aliases.items() if name in behind}

    def matching(self, expression: str) -> list[ModelIndex]:
        """The indices whose names fit one of these patterns or names, separated by commas."""
        patterns = expression.split(",")
        names = sorted(name for name in self.indices if any(fnmatchcase(name, one) for one in patterns))
        for name in names:
            self.indices[name].pass_time()
        return [self.indices[name] for name in names]

    def resolve(self, name: str) -> list[ModelIndex]:
        """The indices behind a name; a pattern may match none. Raises: StoreRejected(404)."""
        names = [name] if name in self.indices else list(self._aliases.get(name, ()))
        if "*" in name:
            names = [one for one in self.indices if fnmatchcase(one, name)]
        elif not names:
            raise StoreRejected(f"no such index [{name}]", 404, "index_not_found_exception")
        found = [self.indices[one] for one in sorted(names)]
        for index in found:
            index.pass_time()
        return found

    def one_index(self, name: str) -> ModelIndex:
        """The one index behind a name. Raises: StoreRejected (404, or 400 when there are several)."""
        found = self.resolve(name)
        if len(found) > 1:
            raise StoreRejected(f"[{name}] has more than one index", 400, "illegal_argument_exception")
        return found[0]

    def write_index(self, name: str) -> ModelIndex:
        """The index that a write to this name goes to. Raises: StoreRejected."""
        found = self.resolve(name)
        if len(found) == 1:
            return found[0]
        for index in found:
            if self._aliases[name][index.name]:
                return index
        raise StoreRejected(f"no write index is defined for alias [{name}]", 400, "illegal_argument_exception")

    def is_alias(self, name: str) -> bool:
        return bool(self._aliases.get(name))

    async def wait_past(self, name: str, checkpoint: int, wait_ms: int) -> int | None:
        """`_fleet/global_checkpoints` with `wait_for_advance` and `wait_for_index`.

        Raises: StoreRejected(404) when the index is removed meanwhile, or is not there after `wait_ms`.
        """
        try:
            async with asyncio.timeout(wait_ms / 1_000):
                while name not in self.indices:
                    await self.made.wait()
                return await self.indices[name].passes(checkpoint)
        except TimeoutError:
            self.one_index(name)
            return None

    def apply(self, operation: Operation) -> BulkItem:
        try:
            index = self.write_index(operation.index)
        except StoreRejected as error:
            return BulkItem(error.status, operation.index, operation.id, None, error.error_type, str(error))
        return index.apply(operation)

    def open_pit(self, name: str, keep_alive_ms: int) -> str:
        visible = [Visible(index, index.visible) for index in self.resolve(name)]
        self._made += 1
        pit_id = f"pit-{self._made}"
        self._points_in_time[pit_id] = _PointInTime(visible, loop_time_ms() + keep_alive_ms)
        return pit_id

    def close_pit(self, pit_id: str) -> None:
        self._points_in_time.pop(pit_id, None)

    @property
    def open_pits(self) -> int:
        """Points in time that nobody has closed and that have not run out."""
        now_ms = loop_time_ms()
        return sum(pit.expires_at_ms > now_ms for pit in self._points_in_time.values())

    def in_pit(self, pit_id: str, keep_alive_ms: int | None) -> list[Visible]:
        """What a point in time sees. Raises: StoreRejected(404) once it is closed or has run out."""
        pit = self._points_in_time.get(pit_id)
        if pit is None or pit.expires_at_ms <= loop_time_ms():
            raise StoreRejected("No search context found", 404, "search_context_missing_exception")
        if any(self.indices.get(one.index.name) is not one.index for one in pit.visible):
            raise StoreRejected("no such index", 404, "index_not_found_exception")
        if keep_alive_ms is not None:
            pit.expires_at_ms = max(pit.expires_at_ms, loop_time_ms() + keep_alive_ms)
        return pit.visible


def loop_time_ms() -> int:
    """The running loop's time, 0 where none runs: an index may be made before the simulation starts."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return 0
    return int(loop.time() * 1000 + 1e-6)
