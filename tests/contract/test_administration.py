"""What the ager asks of a cluster is answered alike by the model and by a real server, through a whole life."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from leasehold.core.es import connect
from leasehold.core.es.lines import create_line_in
from leasehold.core.ports import Store
from leasehold.core.settings import StoreSettings
from leasehold.ilm import IndexNames, bootstrap, parse
from leasehold.ilm.lifecycle import Ager

from tests.kit.model_store import ModelElasticsearch, ModelStore

DAY_MS = 86_400_000
POLICY = parse(
    "steps",
    {
        "phases": {
            "hot": {"actions": {"rollover": {"max_docs": 2}, "set_priority": {"priority": 100}}},
            "warm": {
                "min_age": "1d",
                "actions": {"readonly": {}, "forcemerge": {"max_num_segments": 1}, "set_priority": {"priority": 50}},
            },
            "delete": {"min_age": "3d", "actions": {"delete": {}}},
        }
    },
)


@pytest.fixture
async def store(server_url: str | None, index_prefix: str) -> AsyncIterator[Store]:
    """A store with everything that an installation makes, under the prefix."""
    names = IndexNames(index_prefix)
    if server_url is None:
        cluster = ModelElasticsearch()
        cluster.bootstrap(names, lanes=1)
        yield ModelStore(cluster)
        return
    async with connect(StoreSettings(urls=(server_url,))) as real:
        await bootstrap(real.request, names, lanes=1)
        yield real


@pytest.fixture
def names(index_prefix: str) -> IndexNames:
    return IndexNames(index_prefix)


async def written(store: Store, index: str, *ids: str) -> list[int]:
    lines = [line for id in ids for line in (create_line_in(index, id), b'{"tenant":"acme"}')]
    return [item.status for item in await store.bulk(lines)]


async def asked(store: Store, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Status, and the type of the error."""
    status, answer = await store.request(method, path, body)
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    return status, error.get("type", "")


async def test_an_index_goes_through_its_life(store: Store, names: IndexNames) -> None:
    first, second = names.first(names.steps), f"{names.steps}-000002"
    ager, policies = Ager(store.request, names), {"steps": POLICY}

    async def passed(now_ms: int) -> list[tuple[str, str, str | None]]:
        return [(one.action, one.index, one.error) for one in await ager.pass_once(policies, now_ms)]

    async def stands(now_ms: int) -> list[Any]:
        found = await ager.status(policies, now_ms)
        return [(one.index, one.phase, one.is_write_index, one.docs, one.done, one.next_phase) for one in found]

    assert await passed(0) == [("set_priority", first, None)]
    for id in ("a", "b", "c"):
        assert await written(store, names.steps, id) == [201]
        await store.refresh(names.steps)
    assert await stands(0) == [(first, "hot", True, 3, ("hot.set_priority",), "warm")]
    assert await passed(0) == [("rollover", first, None)]
    old, new = await ager.status(policies, 0)
    assert old.rolled_at_ms is not None
    assert new.rolled_at_ms is None
    assert new.created_at_ms >= old.created_at_ms
    assert min(old.bytes, new.bytes) > 0

    warm_ms = old.rolled_at_ms + DAY_MS
    assert {action for action, index, _ in await passed(warm_ms) if index == first} == {
        "set_priority",
        "readonly",
        "forcemerge",
    }
    assert await written(store, first, "late") == [403]
    assert await written(store, names.steps, "next") == [201]
    while [one.under_way for one in await ager.status(policies, warm_ms)] != [None, None]:
        pass
    assert await passed(warm_ms) == []
    assert (await stands(warm_ms))[0][3:] == (
        3,
        ("hot.set_priority", "hot.rollover", "warm.set_priority", "warm.readonly", "warm.forcemerge"),
        "delete",
    )
    assert await passed(old.rolled_at_ms + 3 * DAY_MS) == [("delete", first, None)]
    await store.refresh(names.steps)
    assert await stands(warm_ms) == [(second, "hot", True, 1, ("hot.set_priority",), "warm")]
    assert await ager.findings(policies) == []


async def test_what_is_refused_is_refused_in_the_same_way(store: Store, names: IndexNames) -> None:
    first, second, gone = names.first(names.steps), f"{names.steps}-000002", f"{names.steps}-000009"
    roll = f"/{names.steps}/_rollover"
    assert await asked(store, "POST", f"{roll}/{first}") == (400, "resource_already_exists_exception")
    assert await asked(store, "POST", f"/{names.prefix}-none/_rollover/{second}") == (
        404,
        "resource_not_found_exception",
    )
    assert await asked(store, "PUT", f"/{gone}/_settings", {"index.priority": "1"}) == (
        404,
        "index_not_found_exception",
    )
    assert await asked(store, "PUT", f"/{gone}/_block/write") == (404, "index_not_found_exception")
    options = "max_num_segments=1&wait_for_completion=false"
    assert await asked(store, "POST", f"/{gone}/_forcemerge?{options}") == (200, ""), "it is the task that fails"
    assert await asked(store, "DELETE", f"/{gone}") == (404, "index_not_found_exception")
    assert await asked(store, "GET", f"/{gone}*/_alias?ignore_unavailable=true&allow_no_indices=true") == (200, "")


async def test_a_roll_over_says_what_it_found(store: Store, names: IndexNames) -> None:
    second = f"{names.steps}-000002"

    async def rolled(**conditions: Any) -> Any:
        _, answer = await store.request("POST", f"/{names.steps}/_rollover/{second}", {"conditions": conditions})
        return answer

    assert (await rolled(max_docs=1, min_docs=1))["rolled_over"] is False
    await written(store, names.steps, "a")
    assert (await rolled(max_docs=1, min_docs=1))["rolled_over"] is False, "what is not refreshed is not counted"
    await store.refresh(names.steps)
    not_yet = await rolled(max_docs=5, min_docs=1, max_age="100d", max_primary_shard_size="50gb")
    assert not_yet["rolled_over"] is False
    assert not_yet["conditions"] == {
        "[max_docs: 5]": False,
        "[min_docs: 1]": True,
        "[max_age: 100d]": False,
        "[max_primary_shard_size: 50gb]": False,
    }
    assert (await rolled(max_docs=1, min_docs=2))["rolled_over"] is False
    done = await rolled(max_docs=1, min_docs=1)
    assert {name: done[name] for name in ("rolled_over", "old_index", "new_index")} == {
        "rolled_over": True,
        "old_index": names.first(names.steps),
        "new_index": second,
    }
    assert await store.resolve_write_index(names.steps) == second


async def test_blocks_and_settings_stand_in_the_metadata(store: Store, names: IndexNames) -> None:
    first = names.first(names.steps)

    async def settings() -> dict[str, str]:
        path = f"/_cluster/state/metadata/{first}?flat_settings=true&filter_path=metadata.indices.*.settings"
        _, answer = await store.request("GET", path)
        found: dict[str, str] = answer["metadata"]["indices"][first]["settings"]
        return found

    before = await settings()
    assert (before["index.priority"], before["index.number_of_shards"]) == ("50", "1")
    assert re.fullmatch("[0-9]{13}", before["index.creation_date"])
    await store.request("PUT", f"/{first}/_settings", {"index.priority": "7"})
    _, blocked = await store.request("PUT", f"/{first}/_block/write")
    assert blocked["indices"] == [{"name": first, "blocked": True}]
    _, again = await store.request("PUT", f"/{first}/_block/write")
    assert again["indices"] == []
    after = await settings()
    assert (after["index.priority"], after["index.blocks.write"]) == ("7", "true")
    await store.request("PUT", f"/{first}/_settings", {"index.priority": None})
    assert "index.priority" not in await settings()
