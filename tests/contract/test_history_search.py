"""What users find in history, on a real server, with the mappings and rows as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from leasehold.core.es import ElasticsearchStore, connect
from leasehold.core.es.lines import create_line
from leasehold.core.history_rows import instance_of_row, instance_row, step_row
from leasehold.core.machine.events import AttemptRecord
from leasehold.core.machine.state import Instance, InstanceStatus
from leasehold.core.settings import StoreSettings
from leasehold.ilm import instances, steps

from .ground import ServerGround

pytestmark = pytest.mark.elasticsearch

INSTANCE = Instance(
    id="00-1",
    workflow="w",
    version=1,
    definition_tenant="t",
    tenant="t",
    space="s",
    status=InstanceStatus.SUCCEEDED,
    created_at_ms=1_767_225_600_000,
    finished_at_ms=1_767_225_601_000,
    labels={"team": "sre"},
)
RECORD = AttemptRecord(
    path="each[17].scan",
    step="scan",
    executor="render",
    attempt=1,
    token=1,
    outcome="succeeded",
    worker="worker-1",
    activated_at_ms=1_767_225_600_000,
    ready_at_ms=1_767_225_600_000,
    started_at_ms=1_767_225_600_100,
    finished_at_ms=1_767_225_600_500,
)


@pytest.fixture
async def ground(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[ServerGround]:
    async with connect(StoreSettings(urls=(elasticsearch_url,))) as store:
        yield ServerGround(store, index_prefix)


async def found(store: ElasticsearchStore, index: str, query: dict[str, Any]) -> list[str]:
    return sorted(hit.id for hit in (await store.search(index, {"query": query})).hits)


async def test_words_of_any_payload_are_found_by_the_field_that_holds_it(ground: ServerGround) -> None:
    index = await ground.make_index(steps.FIELDS)
    outputs: dict[str, Any] = {
        "report": {"markdown": "# Summary\nErrors were found\n\tdisk full"},
        "nested": [{"deep": [{"host": "web-01"}]}, 42],
        "text": "plain words",
    }
    lines = [
        line
        for id, output in outputs.items()
        for line in (create_line(id), step_row(INSTANCE, RECORD, {"q": id}, output))
    ]
    items = await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)

    async def ids(field: str, words: str, kind: str = "match") -> list[str]:
        return await found(ground.store, index, {kind: {field: words}})

    assert [item.status for item in items] == [201] * 3
    assert await ids("step.output", "errors") == ["report"]
    assert await ids("step.output", "errors were found disk full", "match_phrase") == ["report"]
    assert await ids("step.output", "disk full", "match_phrase") == ["report"]
    assert await ids("step.output", "markdown") == ["report"]
    assert await ids("step.output", "host") == await ids("step.output", "web") == ["nested"]
    assert await ids("step.output", "42") == ["nested"]
    assert await ids("step.output", "plain") == ["text"]
    assert await ids("step.input", "report") == ["report"]
    assert await found(ground.store, index, {"term": {"executor": "worker-1"}}) == sorted(outputs)
    assert await found(ground.store, index, {"term": {"labels": "team=sre"}}) == sorted(outputs)
    assert await found(ground.store, index, {"range": {"step.duration_ms": {"gte": 400}}}) == sorted(outputs)
    assert await found(ground.store, index, {"range": {"@timestamp": {"gt": "2026-01-01T00:00:00.499Z"}}}) == sorted(
        outputs
    )


async def test_ten_thousand_different_keys_add_no_field(ground: ServerGround) -> None:
    rows, finished = await ground.make_index(steps.FIELDS), await ground.make_index(instances.FIELDS)
    payload = {f"key-{n}.sub": {f"{n}": n, "": [{"x..y": None}]} for n in range(10_000)}
    instance = msgspec.structs.replace(INSTANCE, inputs=payload, trigger=payload, outputs=payload)
    before = await ground.store.request("GET", f"/{rows},{finished}/_mapping")

    (row,) = await ground.store.bulk([create_line("a"), step_row(INSTANCE, RECORD, payload, payload)], index=rows)
    (end,) = await ground.store.bulk([create_line("a"), instance_row(instance, [], 0)], index=finished)

    stored = await ground.store.get(finished, "a")
    assert (row.status, end.status) == (201, 201)
    assert await ground.store.request("GET", f"/{rows},{finished}/_mapping") == before
    assert stored is not None
    assert instance_of_row(stored.source) == instance


async def test_values_beyond_every_limit_of_a_term_are_stored(ground: ServerGround) -> None:
    index = await ground.make_index(steps.FIELDS)
    long = "x" * 100_000
    instance = msgspec.structs.replace(INSTANCE, labels={"k": long}, correlation_id=long)
    record = msgspec.structs.replace(RECORD, worker=long)

    (item,) = await ground.store.bulk([create_line("a"), step_row(instance, record, long, [long])], index=index)

    assert (item.status, item.error_reason) == (201, "")
