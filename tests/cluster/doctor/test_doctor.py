"""The doctor on a real Elasticsearch: each thing is broken for real, found, repaired, and found no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from leasehold.claim.wire import StartBody
from leasehold.claim.wire.doctor import DoctorView, Finding
from leasehold.core.es import ElasticsearchStore, connect
from leasehold.core.principal import Principal
from leasehold.core.settings import StoreSettings

from tests.kit.answering import Answering, answering_replica, request, send_raw

OPERATOR = Principal("me", "acme", roles=("operator",), address="10.0.0.9")
ONE = b"name: one\nsteps:\n  - {name: only, executor: work}\n"


class Ward:
    """One replica with its installation, and a way to break it."""

    def __init__(self, answering: Answering, store: ElasticsearchStore, prefix: str) -> None:
        self.answering = answering
        self.store = store
        self.prefix = prefix

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.store.request(method, path.replace("PREFIX", self.prefix), body)
        assert status < 300, answer
        return answer

    async def examine(self, *only: str, fix: bool = False) -> DoctorView:
        return await self.answering.replica.examine(OPERATOR, fix=fix, only=only or None)

    async def found(self, check: str) -> list[Finding]:
        """What this check finds now."""
        view = await self.examine(check)
        assert view.healthy is not bool(view.findings)
        return view.findings

    async def trail(self) -> list[dict[str, Any]]:
        """The rows of repairs."""
        await self.must("POST", "/PREFIX-audit/_refresh")
        found = await self.must("POST", "/PREFIX-audit/_search", {"query": {"term": {"event.action": "doctor_fix"}}})
        return [hit["_source"] for hit in found["hits"]["hits"]]


@pytest.fixture
async def ward(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Ward]:
    async with (
        connect(StoreSettings(urls=(elasticsearch_url,))) as store,
        answering_replica(elasticsearch_url, index_prefix) as answering,
    ):
        async with asyncio.timeout(20):
            while not all(lane.mine for lane in await answering.replica.lanes()):
                await asyncio.sleep(0.05)
        ward = Ward(answering, store, index_prefix)
        assert (await ward.examine()).findings == []
        yield ward


Break = Callable[[Ward], Awaitable[Any]]


def asking(method: str, path: str, body: Any = None) -> Break:
    return lambda ward: ward.must(method, path, body)


async def by_hand(ward: Ward) -> None:
    """Somebody edits a template: the lanes' durability, and one more field."""
    found = await ward.must("GET", "/_index_template/PREFIX-lane")
    template = found["index_templates"][0]["index_template"]
    template["template"]["settings"]["index"]["translog"]["durability"] = "async"
    template["template"]["mappings"]["properties"]["mine"] = {"type": "keyword"}
    await ward.must("PUT", "/_index_template/PREFIX-lane", template)


async def older(ward: Ward) -> None:
    found = await ward.must("GET", "/_index_template/PREFIX-steps")
    template = found["index_templates"][0]["index_template"]
    template["_meta"] = {"leasehold": {"schema": 1}}
    await ward.must("PUT", "/_index_template/PREFIX-steps", template)


async def writing_to_nothing(ward: Ward) -> None:
    behind = {"index": f"{ward.prefix}-steps-000001", "alias": f"{ward.prefix}-steps", "is_write_index": False}
    await ward.must("POST", "/_aliases", {"actions": [{"add": behind}]})


BROKEN: dict[str, tuple[str, Break, str]] = {
    "a template is gone": (
        "templates",
        asking("DELETE", "/_index_template/PREFIX-keys"),
        "The index template PREFIX-keys is missing",
    ),
    "a template was changed": (
        "templates",
        by_hand,
        "changed by hand: mappings.properties.mine.type, settings.index.translog.durability",
    ),
    "a template is old": ("templates", older, "is of schema 1, and this release needs"),
    "a mapping is dynamic": (
        "mappings",
        asking("PUT", "/PREFIX-usage/_mapping", {"dynamic": True}),
        "The mapping of index PREFIX-usage takes any field that comes",
    ),
    "usage is gone": ("indices", asking("DELETE", "/PREFIX-usage"), "Index PREFIX-usage is missing."),
    "a disk was full": (
        "indices",
        asking("PUT", "/PREFIX-lane-00/_settings", {"index.blocks.read_only_allow_delete": True}),
        "Index PREFIX-lane-00 takes no writes: it was blocked when a disk was full.",
    ),
    "durability is async": (
        "indices",
        asking("PUT", "/PREFIX-lane-01/_settings", {"index.translog.durability": "async"}),
        "Index PREFIX-lane-01 has `translog.durability: async`",
    ),
    "nothing is written to": (
        "aliases",
        writing_to_nothing,
        "Alias PREFIX-steps has no index to write to",
    ),
    "an index stands apart": (
        "aliases",
        asking("PUT", "/PREFIX-steps-000002"),
        "Searches of PREFIX-steps do not see PREFIX-steps-000002",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_broken_is_found_repaired_and_audited(ward: Ward, name: str) -> None:
    check, broken, says = BROKEN[name]
    await broken(ward)

    found = await ward.found(check)
    assert any(says.replace("PREFIX", ward.prefix) in one.what for one in found), found
    assert all(one.fixable and not one.fixed and one.way_out for one in found)

    fixed = await ward.examine(check, fix=True)
    assert fixed.healthy, fixed.findings
    assert all(one.fixed and one.done and one.left is None for one in fixed.findings)
    assert len(fixed.findings) >= len(found)
    assert await ward.found(check) == []
    assert (await ward.examine(check, fix=True)).findings == [], "a second time there is nothing to do"
    rows = await ward.trail()
    assert sorted(row["details"]["found"] for row in rows) == sorted(one.what for one in fixed.findings)
    assert {row["user"]["name"] for row in rows} == {"me"}


async def test_a_missing_definition_is_told_and_left_to_people(ward: Ward) -> None:
    replica = ward.answering.replica
    await replica.put_definition(OPERATOR, "one", ONE)
    answer, _ = await replica.start(OPERATOR, "one", StartBody(), idempotency_key=None, traceparent=None)
    await ward.must("POST", "/PREFIX-lane-*/_refresh")
    assert await ward.found("definitions") == []

    kept = await ward.must("GET", "/PREFIX-definitions/_doc/acme%2Fone%2F1")
    await ward.must("DELETE", "/PREFIX-definitions/_doc/acme%2Fone%2F1")
    (found,) = await ward.found("definitions")
    assert found.what == "1 live instance of tenant acme runs one version 1, which is gone."
    assert not found.fixable

    view = await ward.examine("definitions", fix=True)
    (left,) = view.findings
    assert not view.healthy
    assert left.left is not None
    assert (await replica.instance(OPERATOR, answer.instance_id)).status == "running", "nothing was ended"
    await ward.must("PUT", "/PREFIX-definitions/_doc/acme%2Fone%2F1", kept["_source"])
    assert await ward.found("definitions") == []


async def test_blocks_that_somebody_set_are_left(ward: Ward) -> None:
    await ward.must("PUT", "/PREFIX-usage/_settings", {"index.blocks.write": True})

    (found,) = await ward.found("indices")
    (left,) = (await ward.examine("indices", fix=True)).findings
    await ward.must("PUT", "/PREFIX-usage/_settings", {"index.blocks.write": None})

    assert (found.fixable, left.fixed) == (False, False)
    assert left.left == "somebody set it, perhaps for a snapshot or a migration under way"
    assert await ward.found("indices") == []


async def test_a_field_of_another_type_can_t_be_repaired(ward: Ward) -> None:
    await ward.must("DELETE", "/PREFIX-usage")
    mappings = {"dynamic": False, "properties": {"tenant": {"type": "long"}}}
    await ward.must("PUT", "/PREFIX-usage", {"mappings": mappings})
    # What its template adds is there all the same; one field is another.
    found = await ward.found("mappings")
    assert [one.fixable for one in found] == [False] * len(found)
    assert f"Index {ward.prefix}-usage maps fields otherwise than this release: tenant is long" in found[0].what


async def test_a_removed_tail_of_the_audit_trail_is_seen(ward: Ward) -> None:
    await ward.must("DELETE", "/_index_template/PREFIX-keys")
    await ward.examine("templates", fix=True)
    (row,) = await ward.trail()
    assert await ward.found("audit") == []

    query = {"query": {"term": {"chain.seq": row["chain"]["seq"]}}}
    hits = (await ward.must("POST", "/PREFIX-audit/_search", query))["hits"]["hits"]
    assert hits
    for hit in hits:
        await ward.must("DELETE", f"/{hit['_index']}/_doc/{hit['_id']}?refresh=true")
    (found,) = await ward.found("audit")
    assert "was confirmed, and" in found.what
    assert not found.fixable


async def test_the_answer_over_http_is_for_operators(ward: Ward) -> None:
    port = ward.answering.port
    operator = await send_raw(port, request("GET", "/_workflows/_doctor", "X-Leasehold-Roles: operator"))
    anybody = await send_raw(port, request("POST", "/_workflows/_doctor/_fix", "X-Leasehold-Roles:"))
    fixed = await send_raw(port, request("POST", "/_workflows/_doctor/_fix", "X-Leasehold-Roles: operator"))
    assert (operator.status, anybody.status, fixed.status) == (200, 403, 200)
    assert msgspec.json.decode(operator.body, type=DoctorView).healthy
