"""What canaries and migrations ask of Elasticsearch: how versions' instances ended, which of them live, rows by id."""

from __future__ import annotations

from typing import Any

import msgspec
from leasehold.core.es.lines import create_line
from leasehold.core.es.rows_by_id import rows_by_id_body
from leasehold.core.es.running_instances import running_instances_body
from leasehold.core.es.version_outcomes import outcomes_of, version_outcomes_body
from leasehold.core.history_rows import instance_row
from leasehold.core.machine.state import Instance, InstanceStatus
from leasehold.core.principal import Principal
from leasehold.ilm import instances

from .ground import LANE_FIELDS, Ground

ANN = Principal("ann", "acme", spaces=("soc",))
BEGAN_MS = 1_767_225_600_123


def ended(version: int, status: str, **more: Any) -> bytes:
    """The row of an instance of tenant acme's own `flow`, which was created just when the canary began."""
    fields: dict[str, Any] = {
        "workflow": "flow",
        "definition_tenant": "acme",
        "tenant": "acme",
        "created_at_ms": BEGAN_MS,
        **more,
    }
    instance = Instance(
        id="00-1",
        version=version,
        space="s",
        status=InstanceStatus(status),
        finished_at_ms=BEGAN_MS + 1_000,
        **fields,
    )
    return instance_row(instance, [], 0)


async def test_outcomes_are_counted_by_version_and_status_since_the_canary_began(ground: Ground) -> None:
    first = await ground.make_index(instances.FIELDS)
    rows = [
        *[ended(1, "succeeded")] * 3,
        ended(1, "failed"),
        *[ended(2, "failed")] * 2,
        ended(2, "failed", tenant="globex"),
        ended(2, "cancelled"),
        ended(2, "terminated"),
        ended(3, "failed"),
        ended(2, "failed", created_at_ms=BEGAN_MS - 1),
        ended(2, "failed", workflow="other"),
        ended(2, "failed", definition_tenant="*"),
    ]
    lines = [line for number, row in enumerate(rows) for line in (create_line(str(number)), row)]
    await ground.store.bulk(lines, index=first)
    await ground.store.refresh(first)

    body = version_outcomes_body(definition_tenant="acme", workflow="flow", versions=(1, 2), created_from_ms=BEGAN_MS)
    page = await ground.store.search(first, body)

    assert page.aggregations is not None
    assert outcomes_of(page.aggregations) == {(1, "succeeded"): 3, (1, "failed"): 1, (2, "failed"): 3}


async def test_no_outcomes_are_no_buckets(ground: Ground) -> None:
    index = await ground.make_index(instances.FIELDS)
    body = version_outcomes_body(definition_tenant="acme", workflow="flow", versions=(1, 2), created_from_ms=0)

    page = await ground.store.search(index, body)

    assert page.aggregations is not None
    assert outcomes_of(page.aggregations) == {}


LIVE: dict[str, dict[str, Any]] = {
    "late": {"created_at_ms": 30},
    "first": {"created_at_ms": 10, "status": "waiting"},
    "second": {"created_at_ms": 10, "status": "paused"},
    "ended": {"created_at_ms": 10, "status": "failed"},
    "strange": {"created_at_ms": 10, "tenant": "globex"},
    "hidden": {"created_at_ms": 10, "space": "lab"},
    "global": {"created_at_ms": 40, "space": "*"},
    "newer": {"created_at_ms": 10, "version": 2},
    "other": {"created_at_ms": 10, "workflow": "other"},
    "side": {"kind": "side", "created_at_ms": 10},
}


async def test_live_instances_of_a_version_come_oldest_first_and_page_by_page(ground: Ground) -> None:
    index = await ground.make_index(LANE_FIELDS)
    usual = {
        "kind": "instance",
        "tenant": "acme",
        "space": "soc",
        "workflow": "flow",
        "version": 1,
        "status": "running",
    }
    lines = [
        line for id, fields in LIVE.items() for line in (create_line(id), msgspec.json.encode({**usual, **fields}))
    ]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)

    async def page(after: tuple[int, int] | None, principal: Principal = ANN) -> tuple[list[str], tuple[int, int]]:
        body = running_instances_body(workflow="flow", version=1, principal=principal, after=after, size=2)
        hits = (await ground.store.search(index, body)).hits
        assert all(hit.source == b"" for hit in hits)
        return [hit.id for hit in hits], hits[-1].sort if hits else (0, 0)

    begin, at = await page(None)
    rest, end = await page(at)

    assert (begin, rest, (await page(end))[0]) == (["first", "second"], ["late", "global"], [])
    assert (await page((10, 2), Principal("ops", "*", spaces=("*",))))[0] == ["strange", "hidden"]


async def test_rows_come_by_their_ids(ground: Ground) -> None:
    index = await ground.make_index()
    lines = [line for id in "abc" for line in (create_line(id), b'{"name":"%b"}' % id.encode())]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)

    hits = (await ground.store.search(index, rows_by_id_body(["a", "c", "x"]))).hits

    assert sorted((hit.id, hit.source) for hit in hits) == [("a", b'{"name":"a"}'), ("c", b'{"name":"c"}')]
