"""Indices come into being, once, by whoever comes first, and a newer release upgrades them in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from leasehold.core.errors import StoreUnavailable
from leasehold.core.es import ElasticsearchStore, connect
from leasehold.core.es.lines import create_line, put_line
from leasehold.core.settings import StoreSettings
from leasehold.ilm import CURRENT, BootstrapFailed, Capabilities, Family, IndexNames, Schema, SchemaTooNew, bootstrap
from leasehold.ilm.fields import keyword

pytestmark = pytest.mark.elasticsearch

LANES = 2


@pytest.fixture
async def store(elasticsearch_url: str) -> AsyncIterator[ElasticsearchStore]:
    async with connect(StoreSettings(urls=(elasticsearch_url,))) as connected:
        yield connected


@pytest.fixture
def names(index_prefix: str) -> IndexNames:
    return IndexNames(index_prefix)


def every_index(names: IndexNames) -> set[str]:
    plain = {names.control, names.definitions, names.tenants, names.keys, names.usage}
    rolled = {names.first(alias) for alias in (names.steps, names.instances, names.events, names.audit)}
    return plain | rolled | {names.lane("00"), names.lane("01")}


def with_new_field(schema: Schema) -> Schema:
    """The schema that a later release might bring: one more field in lanes."""

    def grown(family: Family) -> Family:
        return replace(family, fields={**family.fields, "colour": keyword()}) if family.name == "lane" else family

    return Schema(schema.version + 1, tuple(grown(family) for family in schema.families))


class Counted:
    """Passes requests on, counts those that could change something, and breaks off after `last`."""

    def __init__(self, store: ElasticsearchStore, last: int | None = None) -> None:
        self._store = store
        self._last = last
        self.made = 0
        self.changing: list[str] = []

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.made += 1
        if self._last is not None and self.made > self._last:
            raise StoreUnavailable("the replica dies here")
        if method not in ("GET", "HEAD"):
            self.changing.append(f"{method} {path}")
        return await self._store.request(method, path, body)


async def test_the_first_replica_creates_every_index(store: ElasticsearchStore, names: IndexNames) -> None:
    done = await bootstrap(store.request, names, lanes=LANES)

    _, settings = await store.request("GET", f"/{names.prefix}-*/_settings?flat_settings=true")
    lane = settings[names.lane("00")]["settings"]
    assert set(done.created) == set(settings) == every_index(names)
    assert done.lanes == ("00", "01")
    assert {
        "index.number_of_shards": lane["index.number_of_shards"],
        "index.auto_expand_replicas": lane["index.auto_expand_replicas"],
        "index.refresh_interval": lane["index.refresh_interval"],
        "index.translog.durability": lane["index.translog.durability"].lower(),
        "index.soft_deletes.retention_lease.period": lane["index.soft_deletes.retention_lease.period"],
    } == {
        "index.number_of_shards": "1",
        "index.auto_expand_replicas": "0-1",
        "index.refresh_interval": "30s",
        "index.translog.durability": "request",
        "index.soft_deletes.retention_lease.period": "1m",
    }
    assert await store.resolve_write_index(names.steps) == names.first(names.steps)


async def test_several_replicas_may_start_at_once(store: ElasticsearchStore, names: IndexNames) -> None:
    done = await asyncio.gather(*(bootstrap(store.request, names, lanes=LANES + n) for n in range(4)))

    created = [index for one in done for index in one.created]
    assert len({one.lanes for one in done}) == 1
    assert len(created) == len(set(created))
    assert set(created) >= every_index(names)


async def test_a_second_start_changes_nothing_and_brings_no_lanes(store: ElasticsearchStore, names: IndexNames) -> None:
    await bootstrap(store.request, names, lanes=LANES)
    requests = Counted(store)

    again = await bootstrap(requests, names, lanes=LANES + 5)

    assert (again.created, again.upgraded, again.lanes) == ((), (), ("00", "01"))
    assert requests.changing == []


@pytest.mark.parametrize("last", [14, 30])
async def test_what_a_dying_replica_leaves_the_next_one_finishes(
    store: ElasticsearchStore, names: IndexNames, last: int
) -> None:
    with pytest.raises(StoreUnavailable):
        await bootstrap(Counted(store, last), names, lanes=LANES)

    await bootstrap(store.request, names, lanes=LANES)

    assert (await bootstrap(store.request, names, lanes=LANES)).created == ()
    _, found = await store.request("GET", f"/{names.prefix}-*/_settings")
    assert set(found) == every_index(names)


async def test_a_lost_index_comes_back_and_a_lane_that_is_no_longer_listed_does_not(
    store: ElasticsearchStore, names: IndexNames
) -> None:
    await bootstrap(store.request, names, lanes=LANES)
    await store.bulk([put_line("lanes"), b'{"kind":"lanes","lanes":["01"]}'], index=names.control)
    await store.request("DELETE", f"/{names.lane('00')},{names.keys}")

    again = await bootstrap(store.request, names, lanes=LANES)

    assert (again.created, again.lanes) == ((names.keys,), ("01",))


async def test_a_start_creates_no_index_of_a_lane_that_is_on_its_way_out(
    store: ElasticsearchStore, names: IndexNames
) -> None:
    await bootstrap(store.request, names, lanes=LANES)
    registry = b'{"kind":"lanes","lanes":["00","01"],"leaving":{"01":{"state":"removing","since_ms":1}},"next":2}'
    await store.bulk([put_line("lanes"), registry], index=names.control)
    await store.delete_index(names.lane("01"))

    again = await bootstrap(store.request, names, lanes=LANES)

    assert (again.lanes, again.created) == (("00",), ())


async def test_a_newer_release_adds_its_fields_in_place(store: ElasticsearchStore, names: IndexNames) -> None:
    lane = names.lane("00")
    newer = with_new_field(CURRENT)
    await bootstrap(store.request, names, lanes=LANES)
    await store.bulk([create_line("old"), b'{"kind":"instance"}'], index=lane)

    upgraded = await bootstrap(store.request, names, lanes=LANES, schema=newer)

    await store.bulk([create_line("new"), b'{"kind":"instance","colour":"red"}'], index=lane)
    await store.refresh(lane)
    page = await store.search(lane, {"query": {"term": {"colour": "red"}}})
    _, template = await store.request("GET", f"/_index_template/{names.prefix}-lane")
    again = await bootstrap(store.request, names, lanes=LANES, schema=newer)
    assert (set(upgraded.upgraded), upgraded.created) == (every_index(names), ())
    assert [hit.id for hit in page.hits] == ["new"]
    assert await store.get(lane, "old") is not None
    assert template["index_templates"][0]["index_template"]["version"] == newer.version
    assert again.upgraded == ()


async def test_an_older_release_refuses_in_one_sentence_and_touches_nothing(
    store: ElasticsearchStore, names: IndexNames
) -> None:
    await bootstrap(store.request, names, lanes=LANES, schema=with_new_field(CURRENT))
    requests = Counted(store)

    with pytest.raises(SchemaTooNew) as refused:
        await bootstrap(requests, names, lanes=LANES)

    assert requests.changing == []
    assert (refused.value.found, refused.value.known) == (CURRENT.version + 1, CURRENT.version)
    assert "start a release at least as new" in str(refused.value)


async def test_an_older_release_refuses_as_soon_as_an_upgrade_has_begun(
    store: ElasticsearchStore, names: IndexNames
) -> None:
    await bootstrap(store.request, names, lanes=LANES)
    newer = Counted(store, last=4)
    with pytest.raises(StoreUnavailable):
        await bootstrap(newer, names, lanes=LANES, schema=with_new_field(CURRENT))

    assert len(newer.changing) == 1
    with pytest.raises(SchemaTooNew):
        await bootstrap(store.request, names, lanes=LANES)


class WithIlm:
    """The server, with what ILM adds to templates kept beside it: the server itself does not know these settings."""

    def __init__(self, store: ElasticsearchStore) -> None:
        self._store = store
        self.lifecycle: dict[str, dict[str, str]] = {}
        self.put: list[str] = []

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if not path.startswith("/_index_template/"):
            return await self._store.request(method, path, body)
        name = path.rpartition("/")[2]
        if method == "PUT":
            self.put.append(name)
            index = dict(body["template"]["settings"]["index"])
            told = {key: index.pop(key) for key in list(index) if key.startswith("lifecycle.")}
            self.lifecycle[name] = {key.removeprefix("lifecycle."): value for key, value in told.items()}
            template = {**body["template"], "settings": {"index": index}}
            return await self._store.request(method, path, {**body, "template": template})
        status, answer = await self._store.request(method, path, body)
        if status == 200 and self.lifecycle.get(name):
            settings = answer["index_templates"][0]["index_template"]["template"]["settings"]
            settings["index"]["lifecycle"] = self.lifecycle[name]
        return status, answer


async def test_templates_follow_a_cluster_that_gains_ilm_and_one_that_loses_it(
    store: ElasticsearchStore, names: IndexNames
) -> None:
    requests = WithIlm(store)
    with_ilm = Capabilities(ilm=True)
    await bootstrap(requests, names, lanes=LANES)
    assert not any(requests.lifecycle.values())
    requests.put.clear()

    await bootstrap(requests, names, lanes=LANES, capabilities=with_ilm)
    rolled = {names.steps, names.instances, names.events, names.audit}
    assert set(requests.put) == rolled
    assert {name: told for name, told in requests.lifecycle.items() if told} == {
        alias: {"name": alias, "rollover_alias": alias} for alias in rolled
    }
    requests.put.clear()
    await bootstrap(requests, names, lanes=LANES, capabilities=with_ilm)
    assert requests.put == []

    await bootstrap(requests, names, lanes=LANES)
    assert set(requests.put) == rolled
    assert not any(requests.lifecycle.values())


async def test_a_rolled_index_that_goes_or_may_not_change_stops_no_upgrade(
    store: ElasticsearchStore, names: IndexNames
) -> None:
    """The ager of a replica that still runs the older release deletes one; an operator has made another read-only."""
    await bootstrap(store.request, names, lanes=LANES)
    for _ in range(2):
        await store.request("POST", f"/{names.audit}/_rollover")
    going, kept = names.numbered(names.audit, 1), names.numbered(names.audit, 2)
    await store.request("PUT", f"/{kept}/_block/read_only")

    async def requests(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if (method, path) == ("PUT", f"/{going}/_mapping"):
            await store.request("DELETE", f"/{going}")
        return await store.request(method, path, body)

    upgraded = await bootstrap(requests, names, lanes=LANES, schema=with_new_field(CURRENT))
    await store.request("PUT", f"/{kept}/_settings", {"index.blocks.read_only": None})
    assert names.numbered(names.audit, 3) in upgraded.upgraded
    assert not {going, kept} & set(upgraded.upgraded)


async def test_no_write_brings_a_removed_index_back(store: ElasticsearchStore, names: IndexNames) -> None:
    await bootstrap(store.request, names, lanes=LANES)
    gone = [names.lane("01"), names.first(names.steps), names.control]
    await store.request("DELETE", f"/{','.join(gone)}")

    for index in (*gone, names.steps):
        (item,) = await store.bulk([create_line("late"), b"{}"], index=index)
        assert (item.status, item.error_type) == (404, "index_not_found_exception")


async def test_an_index_in_the_place_of_an_alias_is_reported(store: ElasticsearchStore, names: IndexNames) -> None:
    await store.request("PUT", f"/{names.steps}")

    with pytest.raises(BootstrapFailed, match=f"{names.steps}' has to be an alias; if an index has that name, move it"):
        await bootstrap(store.request, names, lanes=LANES)
