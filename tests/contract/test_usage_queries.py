"""What usage and budgets ask of Elasticsearch: days with new rows, sums of a day, what was spent, usage documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from leasehold.core.es.lines import create_line
from leasehold.core.es.usage import groups
from leasehold.core.es.usage.counted import ATTEMPT_DAY, START_DAY, attempts_body, days_body, starts_body
from leasehold.core.es.usage.groups import Group
from leasehold.core.es.usage.listed import usage_body
from leasehold.core.es.usage.spent import spent_days_body, spent_rows_body
from leasehold.core.usage.documents import UsageDocument, day_text
from leasehold.core.usage.paging import pages
from leasehold.ilm import instances, live, steps

from .ground import Ground

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAY = 1_767_225_600_000


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat()


def attempt(at_ms: int, number: int = 1, *, tenant: str = "acme", workflow: str = "flow", **more: Any) -> bytes:
    step = {"attempt": number, **({"duration_ms": more.pop("ms")} if "ms" in more else {})}
    usage = {name: more.pop(name) for name in ("llm_calls", "llm_tokens", "cost") if name in more}
    row = {"@timestamp": iso(at_ms), "tenant": tenant, "workflow": {"name": workflow}, "step": step, **more}
    return msgspec.json.encode({**row, "usage": usage} if usage else row)


async def put(ground: Ground, index: str, rows: list[bytes]) -> None:
    lines = [line for number, row in enumerate(rows) for line in (create_line(f"{number}"), row)]
    assert {item.status for item in await ground.store.bulk(lines, index=index)} == {201}
    await ground.store.refresh(index)


async def found(ground: Ground, index: str, body: dict[str, Any]) -> list[Group]:
    return [group async for page in pages(ground.store, index, body) for group in page]


ROWS = [
    attempt(DAY, ms=100, cost=0.1, llm_calls=1, llm_tokens=10, stored_bytes=7),
    attempt(DAY + DAY_MS - 1, 2, ms=200, cost=0.2, llm_calls=1, llm_tokens=20, stored_bytes=5),
    attempt(DAY + 5, 3),
    attempt(DAY + 6, workflow="other", ms=1),
    attempt(DAY + 7, tenant="globex", ms=2),
    attempt(DAY - 1, ms=1_000),
    attempt(DAY + DAY_MS, ms=2_000),
]


async def test_a_days_attempts_are_summed_by_tenant_and_workflow(ground: Ground) -> None:
    index = await ground.make_index(steps.FIELDS)
    await put(ground, index, ROWS)

    first, *others = await found(ground, index, attempts_body(DAY))

    assert (first.key.tenant, first.key.workflow, first.doc_count, first.retries.doc_count) == ("acme", "flow", 3, 2)
    assert (first.executor_ms.value, first.llm_calls.value, first.llm_tokens.value) == (300, 2, 30)
    assert first.cost.value == pytest.approx(0.3, abs=1e-12)
    assert first.stored_bytes.value == 12
    assert [(one.key.tenant, one.key.workflow, one.doc_count, one.executor_ms.value) for one in others] == [
        ("acme", "other", 1, 1),
        ("globex", "flow", 1, 2),
    ]


async def test_pages_hold_every_group_once(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    index = await ground.make_index(steps.FIELDS)
    await put(ground, index, [attempt(DAY, tenant=f"t{number}", workflow="w") for number in range(7)])
    for module in (groups, __import__("leasehold.core.usage.paging", fromlist=["x"])):
        monkeypatch.setattr(module, "PAGE", 3)

    sizes = [len(page) async for page in pages(ground.store, index, attempts_body(DAY))]
    tenants = [one.key.tenant for one in await found(ground, index, attempts_body(DAY))]
    days = [one.key.at for one in await found(ground, index, days_body(ATTEMPT_DAY, above=-1))]

    assert (sizes, tenants, days) == ([3, 3, 1], [f"t{number}" for number in range(7)], [DAY])


async def test_days_of_new_rows_are_those_above_a_sequence_number(ground: Ground) -> None:
    index = await ground.make_index(steps.FIELDS)
    await put(ground, index, ROWS)

    async def days(above: int, from_ms: int | None = None) -> list[int]:
        return [one.key.at for one in await found(ground, index, days_body(ATTEMPT_DAY, above=above, from_ms=from_ms))]

    assert await days(-1) == [DAY - DAY_MS, DAY, DAY + DAY_MS]
    assert await days(-1, DAY) == [DAY, DAY + DAY_MS]
    assert await days(4) == [DAY - DAY_MS, DAY + DAY_MS]
    assert await days(6) == []


async def test_an_instance_counts_once_for_the_day_of_its_start(ground: Ground) -> None:
    index = await ground.make_index(instances.FIELDS)
    row = {"tenant": "acme", "workflow": {"name": "flow"}, "created_at": iso(DAY), "@timestamp": iso(DAY + 9 * DAY_MS)}
    ends: list[dict[str, Any]] = [
        {},
        {"redrives": 1},
        {"redrives": 2},
        {},
        {"created_at": iso(DAY - 1)},
        {"tenant": "globex"},
    ]
    await put(ground, index, [msgspec.json.encode({**row, **end}) for end in ends])

    counted = await found(ground, index, starts_body(DAY))
    days = [one.key.at for one in await found(ground, index, days_body(START_DAY, above=-1))]

    assert [(one.key.tenant, one.key.workflow, one.doc_count) for one in counted] == [
        ("acme", "flow", 2),
        ("globex", "flow", 1),
    ]
    assert days == [DAY - DAY_MS, DAY]


async def test_what_rows_of_some_tenants_spent_is_summed_by_hour_within_sequence_numbers(ground: Ground) -> None:
    index = await ground.make_index(steps.FIELDS)
    await put(ground, index, ROWS)

    async def spent(tenants: set[str] | None, **more: Any) -> list[tuple[str, int, float]]:
        bounds = {"above": -1, "up_to": 99, **more}
        groups = await found(ground, index, spent_rows_body(tenants, **bounds))
        return [(one.key.tenant, one.key.at - DAY, one.executor_ms.value) for one in groups]

    assert await spent({"globex"}) == [("globex", 0, 2)]
    assert await spent(None, days=[DAY]) == [("acme", 0, 101), ("acme", DAY_MS - HOUR_MS, 200), ("globex", 0, 2)]
    assert await spent({"acme"}, above=3, up_to=5) == [("acme", -HOUR_MS, 1_000)]


async def test_usage_documents_are_summed_and_listed(ground: Ground) -> None:
    index = await ground.make_index(live.USAGE)
    documents = [
        UsageDocument(
            timestamp=datetime.fromtimestamp((DAY + day * DAY_MS) / 1_000, UTC),
            tenant=tenant,
            workflow=workflow,
            cost=0.5,
            executor_ms=10,
        )
        for day in range(3)
        for tenant in ("acme", "globex")
        for workflow in ("b", "a")
    ]
    await put(ground, index, [msgspec.json.encode(one) for one in documents])

    but_one = spent_days_body({"acme"}, from_ms=DAY, to_ms=DAY + 3 * DAY_MS, but=[DAY + DAY_MS])
    spent = await found(ground, index, but_one)
    page = await ground.store.search(index, usage_body("acme", from_ms=DAY, to_ms=DAY + 2 * DAY_MS))
    rest = await ground.store.search(
        index, usage_body("acme", from_ms=DAY, to_ms=DAY + 2 * DAY_MS, after=page.hits[1].sort)
    )

    assert [(one.key.tenant, one.executor_ms.value, one.cost.value) for one in spent] == [("acme", 40, 2.0)]
    listed = [msgspec.json.decode(hit.source, type=UsageDocument) for hit in page.hits]
    assert [(day_text(int(one.timestamp.timestamp() * 1_000)), one.workflow) for one in listed] == [
        ("2026-01-01", "a"),
        ("2026-01-01", "b"),
        ("2026-01-02", "a"),
        ("2026-01-02", "b"),
    ]
    assert [hit.id for hit in rest.hits] == [hit.id for hit in page.hits[2:]]


async def test_an_alias_stands_where_each_index_behind_it_stands(ground: Ground) -> None:
    alias = "rows-of-usage-test"
    old = await ground.make_index(steps.FIELDS, alias=alias)
    new = await ground.make_index(steps.FIELDS, alias=alias)
    await put(ground, old, ROWS)

    where = await ground.store.checkpoints([alias])

    assert {index: one.global_checkpoint for index, one in where.items()} == {old: len(ROWS) - 1, new: -1}
