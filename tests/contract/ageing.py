"""What tests of lifecycle backends stand on: one family's indices on a real server, and requests that break off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from leasehold.core.errors import StoreUnavailable
from leasehold.core.es import ElasticsearchStore
from leasehold.core.es.lines import create_line_in
from leasehold.ilm import CURRENT, IndexNames, Policy, parse
from leasehold.ilm.lifecycle import Done
from leasehold.ilm.schema import common_template

from tests.kit.published_api import check_request

FAMILY = "steps"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

Answering = Callable[[str, str, Any], Awaitable[tuple[int, Any]]]


def policy(**phases: dict[str, Any]) -> Policy:
    """A policy of steps that rolls over after two rows, with these phases besides; `hot` adds to its actions."""
    hot = {"rollover": {"max_docs": 2}, **phases.pop("hot", {})}
    return parse(FAMILY, {"phases": {"hot": {"min_age": "0ms", "actions": hot}, **phases}})


def phase(min_age: str, **actions: dict[str, Any]) -> dict[str, Any]:
    return {"min_age": min_age, "actions": actions}


class Counted:
    """Passes requests on, each checked against what is published, notes those that change something, and breaks off
    after `last`.
    """

    def __init__(self, store: ElasticsearchStore, last: int | None = None) -> None:
        self._store = store
        self._last = last
        self.made = 0
        self.changing: list[str] = []

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        check_request(method, path, body)
        self.made += 1
        if self._last is not None and self.made > self._last:
            raise StoreUnavailable("the replica dies here")
        if method != "GET":
            self.changing.append(f"{method} {path.partition('?')[0]}")
        return await self._store.request(method, path, body)


class Ground:
    """The indices of one family, made as an installation makes them."""

    def __init__(self, store: ElasticsearchStore, names: IndexNames) -> None:
        self.store = store
        self.names = names
        self.alias = names.rolled(FAMILY)
        self._rows = 0

    async def make(self) -> None:
        """The family's template and its first index, as `leasehold.ilm.bootstrap` makes them."""
        [family] = [one for one in CURRENT.families if one.name == FAMILY]
        await self.must("PUT", f"/_component_template/{common_template(self.names)}", CURRENT.component_template())
        await self.must("PUT", f"/_index_template/{self.alias}", CURRENT.index_template(family, self.names))
        await self.must("PUT", f"/{self.index(1)}", {"aliases": {self.alias: {"is_write_index": True}}})

    def index(self, number: int) -> str:
        return self.names.numbered(self.alias, number)

    async def write(self, count: int, *, segments: bool = False) -> None:
        """Rows through the alias; with `segments` each becomes one of its own."""
        for _ in range(count):
            self._rows += 1
            row = b'{"tenant":"acme"}'
            write_index = await self.store.resolve_write_index(self.alias)
            [item] = await self.store.bulk([create_line_in(write_index, f"r{self._rows}"), row])
            assert item.status == 201, item
            if segments:
                await self.store.refresh(write_index)
        await self.store.refresh(self.alias)

    async def write_to(self, index: str, row_id: str) -> int:
        """The status that a row for this very index gets."""
        [item] = await self.store.bulk([create_line_in(index, row_id), b"{}"])
        return item.status

    async def roll(self) -> None:
        await self.must("POST", f"/{self.alias}/_rollover")

    async def behind(self) -> dict[str, bool]:
        """The indices behind the alias, and which one is written to."""
        found = await self.must("GET", f"/_alias/{self.alias}")
        return {index: entry["aliases"][self.alias]["is_write_index"] for index, entry in sorted(found.items())}

    async def settings(self, number: int) -> dict[str, str]:
        found = await self.must("GET", f"/{self.index(number)}/_settings?flat_settings=true")
        settings: dict[str, str] = found[self.index(number)]["settings"]
        return settings

    async def rolled_at_ms(self, number: int) -> int:
        index = self.index(number)
        found = await self.must("GET", f"/_cluster/state/metadata/{index}")
        return int(found["metadata"]["indices"][index]["rollover_info"][self.alias]["time"])

    async def segments(self, number: int) -> int:
        found = await self.must("GET", f"/{self.index(number)}/_stats/segments")
        return int(found["_all"]["primaries"]["segments"]["count"])

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.store.request(method, path, body)
        assert status == 200, answer
        return answer

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Ask again until it is so: the server works on its own."""
        async with asyncio.timeout(20):
            while not await true():
                await asyncio.sleep(0.02)


def told(done: list[Done]) -> list[tuple[str, str]]:
    """What was done to which number of index, and that nothing was refused."""
    assert [one.error for one in done if one.error is not None] == []
    return [(one.action, one.index[-6:]) for one in done]
