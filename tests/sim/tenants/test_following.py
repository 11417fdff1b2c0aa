"""Replicas obey the tenants index: every edit, by any client, within two seconds, and nothing that is not valid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from leasehold.core.es.lines import delete_line, put_line
from leasehold.core.metrics import Metrics
from leasehold.tenancy.rules import CapabilityRules, Rules, TenantRules

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, ROUND_TRIP_S, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import edit, rules

BOTH = pytest.mark.parametrize("pushes", [False, True], ids=["stats", "fleet"])


async def obeyed(replicas: list[Scheduler], fits: Callable[[Rules], bool]) -> None:
    """Returns once all obey; fails after two seconds."""
    async with asyncio.timeout(2):
        while not all(fits(rules(one)) for one in replicas):
            await asyncio.sleep(0.01)


def client(cluster: ModelElasticsearch, *, pushes: bool = False) -> ModelStore:
    return ModelStore(cluster, latency_s=lambda: ROUND_TRIP_S / 2, pushes=pushes)


@BOTH
def test_every_replica_obeys_a_raw_edit_within_two_seconds_and_a_deletion_too(pushes: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=3)
        anybody = client(cluster)
        async with AsyncExitStack() as stack:
            replicas = [
                await stack.enter_async_context(
                    scheduler(cluster, replica_id=f"r{n}", seed=n, store=client(cluster, pushes=pushes), owning=False)
                )
                for n in range(3)
            ]
            await asyncio.sleep(40)
            for weight in (2.0, 3.0, 4.0):
                await edit(anybody, "acme", {"weight": weight})
                await obeyed(replicas, lambda found, weight=weight: found.of("acme").weight == weight)  # type: ignore[misc]
            await edit(anybody, "acme", None)
            await obeyed(replicas, lambda found: not found.tenants)
            await edit(anybody, "*", {"defaults": {"weight": 5}, "unknown_tenants": "refuse"})
            await obeyed(
                replicas, lambda found: found.of("acme") == TenantRules(tenant="acme", weight=5.0, refused=True)
            )
            await edit(anybody, "*", {"capabilities": {"es": {"max_running_steps": 2}}})
            await obeyed(replicas, lambda found: found.capabilities == {"es": CapabilityRules(2)})

    run_virtual(main())


def test_one_gone_and_one_come_in_the_same_moment_are_both_seen() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        async with scheduler(cluster) as s:
            await edit(anybody, "gone", {"weight": 2})
            await edit(anybody, "stays", {"weight": 3})
            await obeyed([s], lambda found: set(found.tenants) == {"gone", "stays"})
            await asyncio.sleep(10)
            lines = [delete_line("gone"), put_line("come"), b'{"weight": 4}']
            await anybody.bulk(lines, index=NAMES.tenants)
            await obeyed([s], lambda found: set(found.tenants) == {"come", "stays"})

    run_virtual(main())


def test_an_index_that_is_made_anew_is_read_anew() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        async with scheduler(cluster) as s:
            for tenant in ("a", "b", "c"):
                await edit(anybody, tenant, {"weight": 2})
            await obeyed([s], lambda found: len(found.tenants) == 3)
            await asyncio.sleep(10)
            cluster.delete_index(NAMES.tenants)
            await asyncio.sleep(5)
            assert len(rules(s).tenants) == 3, "while the index is gone, what was in force stays"
            before = rules(s).seq_no
            cluster.create_from_template(NAMES.tenants)
            await edit(anybody, "b", {"weight": 7})
            async with asyncio.timeout(10):
                while set(rules(s).tenants) != {"b"}:
                    await asyncio.sleep(0.01)
            assert rules(s).of("b").weight == 7.0
            assert rules(s).seq_no > before

    run_virtual(main())


def test_rules_have_a_higher_number_after_every_change() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        async with scheduler(cluster) as s:
            numbers = [rules(s).seq_no]
            for document in ({"weight": 2}, {"weight": 3}, None, {"weight": 4}):
                before = rules(s).tenants.get("acme")
                await edit(anybody, "acme", document)
                await obeyed([s], lambda found, before=before: found.tenants.get("acme") != before)  # type: ignore[misc]
                numbers.append(rules(s).seq_no)
            assert numbers == sorted(set(numbers))

    run_virtual(main())


class SlowToRefresh(ModelStore):
    """A cluster under load: a refresh waits for those of other indices."""

    async def refresh(self, index: str) -> None:
        await asyncio.sleep(5)
        await super().refresh(index)


def test_a_changed_document_is_obeyed_in_time_though_refreshes_take_seconds() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        await edit(anybody, "acme", {"weight": 2})
        async with scheduler(cluster, store=SlowToRefresh(cluster, latency_s=lambda: 0.001)) as s:
            number = rules(s).seq_no
            await edit(anybody, "acme", {"weight": 3, "paused": True})
            await obeyed([s], lambda found: found.of("acme").weight == 3.0 and found.of("acme").paused)
            assert rules(s).seq_no > number
            # One that is new has to be searched for.
            await edit(anybody, "other", {"weight": 4})
            await asyncio.sleep(20)
            assert rules(s).of("other").weight == 4.0

    run_virtual(main())


@pytest.mark.parametrize("bad", [{"weight": 0}, {"wieght": 2}, {"max_running_steps": "10"}, {"paused": None}])
def test_a_document_that_is_not_valid_changes_nothing_and_is_counted(bad: dict[str, Any]) -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        metrics = Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            await edit(anybody, "acme", {"weight": 2, "max_running_steps": 3})
            await obeyed([s], lambda found: found.of("acme").weight == 2.0)
            await edit(anybody, "acme", bad)
            await edit(anybody, "other", {"weight": 4})
            await obeyed([s], lambda found: found.of("other").weight == 4.0)
            assert rules(s).of("acme") == TenantRules(tenant="acme", weight=2.0, max_running_steps=3)
            assert metrics.registry.get_sample_value("leasehold_tenant_documents_invalid") == 1
            await edit(anybody, "acme", {"weight": 5})
            await obeyed([s], lambda found: found.of("acme").weight == 5.0)
            assert metrics.registry.get_sample_value("leasehold_tenant_documents_invalid") == 0

    run_virtual(main())


def test_a_replica_that_starts_on_a_document_that_is_not_valid_obeys_the_last_one_that_was() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        async with scheduler(cluster):
            await edit(anybody, "acme", {"weight": 2})
            await asyncio.sleep(3)
            await edit(anybody, "acme", {"weight": 0})
            await asyncio.sleep(3)
            await edit(anybody, "acme", {"weight": -1})
            await asyncio.sleep(3)
        async with scheduler(cluster, replica_id="replica-b") as s:
            assert rules(s).of("acme").weight == 2.0

    run_virtual(main())


def test_a_document_whose_id_names_no_tenant_is_in_nobodys_way() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        async with scheduler(cluster) as s:
            await edit(anybody, "no tenant", {"weight": 3})
            await edit(anybody, "acme", {"weight": 2})
            await obeyed([s], lambda found: found.of("acme").weight == 2.0)
            assert set(rules(s).tenants) == {"acme"}

    run_virtual(main())


@pytest.mark.slow
def test_ten_thousand_tenants_are_read_in_pages_and_only_what_changed_is_read_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = client(cluster)
        lines = [
            line for n in range(10_000) for line in (put_line(f"t{n:05}"), msgspec.json.encode({"weight": 1 + n % 10}))
        ]
        await anybody.bulk(lines, index=NAMES.tenants)
        store = client(cluster)
        async with scheduler(cluster, store=store) as s:
            assert len(rules(s).tenants) == 10_000
            # All of them are recorded, once, in batches.
            async with asyncio.timeout(600):
                while len(documents(cluster, NAMES.audit)) < 10_000 or s.replica._engine.tenants._unaudited:
                    await asyncio.sleep(1)
            await asyncio.sleep(10)
            searched = store.requests["search"]
            await edit(anybody, "t00007", {"weight": 99})
            await obeyed([s], lambda found: found.of("t00007").weight == 99.0)
            assert store.requests["search"] - searched <= 4

    run_virtual(main())


def test_what_elasticsearch_did_not_answer_is_asked_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = client(cluster)
        async with scheduler(cluster, store=store) as s:
            await asyncio.sleep(5)
            store.faults.cut_off(on="refresh", index=NAMES.tenants, times=2)
            store.faults.refuse(503, on="open_pit", index=NAMES.tenants, times=2)
            await edit(client(cluster), "acme", {"weight": 2})
            await obeyed([s], lambda found: found.of("acme").weight == 2.0)

    run_virtual(main())
