"""The audit trail as it is written, rolled over, exported in pages and verified."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from leasehold.core.audit import Trail, exporting
from leasehold.core.audit.checking import NotAnExport, checked
from leasehold.core.audit.exporting import Export, ExportLine
from leasehold.core.audit.verify import Report
from leasehold.core.clock import SystemClock
from leasehold.core.es import connect
from leasehold.core.es.lines import create_line, delete_line, put_line
from leasehold.core.metrics import Metrics
from leasehold.core.ports import Store
from leasehold.core.settings import StoreSettings
from leasehold.ilm import IndexNames, bootstrap

from tests.kit.model_store import ModelElasticsearch, ModelStore

IDS = [f"row-{number}" for number in range(7)]


class Ground:
    """A store whose indices stand, and how its audit index rolls over."""

    def __init__(self, store: Store, names: IndexNames, roll_over: Callable[[], Any]) -> None:
        self.store = store
        self.names = names
        self.roll_over = roll_over

    @asynccontextmanager
    async def trail(self, replica_id: str = "a") -> AsyncIterator[Trail]:
        trail = Trail(store=self.store, names=self.names, clock=SystemClock(), metrics=Metrics(), replica_id=replica_id)
        await trail.open()
        yield trail

    async def write(self, trail: Trail, *ids: str, index: str | None = None, repeated: bool = False) -> list[str]:
        told: list[str] = []
        for id in ids:
            row = msgspec.json.encode({"@timestamp": "2027-01-15T08:00:00.5Z", "details": {"id": id, "x": 1.50}})
            trail.submit(id, row, index=index, done=told.append, repeated=repeated)
        while trail.waiting:
            assert await trail.pass_once()
        return told

    async def lines(self) -> list[bytes]:
        export = Export(self.store, self.names, SystemClock())
        lines: list[bytes] = []
        page = await export.first(None)
        while (token := msgspec.json.decode(page[-1], type=ExportLine).next) is not msgspec.UNSET:
            lines += page[:-1]
            page = await export.following(token)
        return lines + page

    async def report(self) -> Report:
        return checked(await self.lines())

    async def findings(self) -> list[str]:
        return [finding.text for finding in (await self.report()).findings]


@pytest.fixture
async def ground(server_url: str | None, index_prefix: str) -> AsyncIterator[Ground]:
    names = IndexNames(index_prefix)
    if server_url is None:
        cluster = ModelElasticsearch()
        cluster.bootstrap(names, lanes=1)

        async def roll_over_model() -> None:
            cluster.roll_over(names.audit)

        yield Ground(ModelStore(cluster), names, roll_over_model)
        return
    async with connect(StoreSettings(urls=(server_url,))) as store:
        await bootstrap(store.request, names, lanes=1)

        async def roll_over() -> None:
            status, answer = await store.request("POST", f"/{names.audit}/_rollover")
            assert status == 200, answer

        yield Ground(store, names, roll_over)


async def test_a_trail_over_two_indices_is_exported_in_pages_and_holds(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    first = ground.names.first(ground.names.audit)
    # What a release wrote that had no chains.
    bare = b'{"@timestamp":"2020-01-01T00:00:00Z","event":{"action":"cancel"}}'
    lines = [line for number in range(5) for line in (create_line(f"bare-{number}"), bare)]
    await ground.store.bulk(lines, index=first)
    async with ground.trail() as trail:
        assert await ground.write(trail, *IDS[:3]) == ["standing"] * 3
    await ground.roll_over()
    async with ground.trail("b") as trail:
        assert trail.index != first
        await ground.write(trail, *IDS[3:5])
        assert await ground.write(trail, *IDS[5:], index=first) == ["standing"] * 2
        assert await ground.write(trail, *IDS[:3], index=first, repeated=True) == ["standing"] * 3
    report = await ground.report()
    assert [finding.text for finding in report.findings] == []
    assert (report.rows, report.chains, report.before_the_chain) == (5 + 7 + 3, 3, 5)


async def test_an_index_that_takes_no_more_writes_is_left(ground: Ground) -> None:
    first = ground.names.first(ground.names.audit)
    async with ground.trail() as trail:
        await ground.write(trail, *IDS[:3])
        await ground.roll_over()
        status, _ = await ground.store.request("PUT", f"/{first}/_block/write")
        assert status == 200
        assert await ground.write(trail, *IDS[:4], index=first) == ["standing"] * 3 + ["closed"]
        assert await ground.write(trail, *IDS[4:]) == ["standing"] * 3
    report = await ground.report()
    assert [finding.text for finding in report.findings] == []
    assert report.rows == 6 + 2


async def test_what_is_done_to_rows_by_hand_is_found(ground: Ground) -> None:
    first = ground.names.first(ground.names.audit)
    async with ground.trail() as trail:
        await ground.write(trail, *IDS)
    assert await ground.findings() == []
    found = await ground.store.get(first, IDS[2])
    assert found is not None
    await ground.store.bulk([delete_line(IDS[2])], index=first)
    (text,) = await ground.findings()
    assert "row 4 is missing" in text
    await ground.store.bulk([put_line(IDS[2]), found.source.replace(b"row-2", b"row-x")], index=first)
    (text,) = await ground.findings()
    assert "row row-2 in" in text
    assert "was changed" in text
    await ground.store.bulk([put_line(IDS[2]), found.source], index=first)
    assert await ground.findings() == []
    await ground.store.bulk([create_line("more"), found.source], index=first)
    assert any("row more in" in text for text in await ground.findings())


async def test_an_export_that_lacks_lines_is_none(ground: Ground) -> None:
    async with ground.trail() as trail:
        await ground.write(trail, *IDS)
    lines = await ground.lines()
    assert not checked(lines).findings
    for broken in (lines[1:], lines[:-1], [*lines[:3], *lines[4:]], [*lines[:2], b"{", *lines[2:]], []):
        with pytest.raises(NotAnExport):
            checked(broken)


async def test_two_exports_at_once_while_rows_are_written(ground: Ground) -> None:
    async with ground.trail() as trail:
        await ground.write(trail, *IDS)

        async def go_on() -> None:
            for number in range(20):
                await ground.write(trail, f"more-{number}")

        async def look() -> None:
            for _ in range(5):
                assert await ground.findings() == []

        await asyncio.gather(go_on(), look(), look())
