"""Tenant documents as the API reads and writes them."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.core.errors import Forbidden, InvalidRequest, NotFound, TenantConflict
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelStore
from tests.kit.schedulers import NAMES, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import ALICE, edit, rows

BOB = Principal("bob", "acme")


def test_a_document_is_stored_as_it_was_written_with_who_did_it() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            view, created = await s.replica.put_tenant(ALICE, "acme", b"weight: 2\npaused: false", revision=None)
            assert created
            assert view.document == {"weight": 2, "paused": False}
            assert (view.updated_by, view.error) == ("alice", None)
            stored = documents(cluster, NAMES.tenants)["acme"]
            assert stored.pop("change_id").startswith("1-")
            assert stored == {
                "weight": 2,
                "paused": False,
                "kind": "tenant",
                "tenant": "acme",
                "updated_by": "alice",
                "updated_at_ms": view.updated_at_ms,
            }
            await asyncio.sleep(2)
            seen = await s.replica.tenant(BOB, "acme")
            assert seen.in_force == {"weight": 2.0, "priority_ceiling": 0, "paused": False}
            assert seen.revision == view.revision

    run_virtual(main())


def test_the_same_document_again_changes_nothing_and_leaves_no_row() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            first, _ = await s.replica.put_tenant(ALICE, "acme", b'{"weight": 2, "paused": true}', revision="none")
            again, created = await s.replica.put_tenant(ALICE, "acme", b"paused: true\nweight: 2", revision="none")
            assert again == first
            assert not created
            await asyncio.sleep(2)
        assert len(rows(cluster, "acme")) == 1

    run_virtual(main())


def test_a_write_on_condition_is_refused_with_what_stands() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            first, _ = await s.replica.put_tenant(ALICE, "acme", b"weight: 2", revision="none")
            await edit(ModelStore(cluster), "acme", {"weight": 7})
            for revision in (first.revision, "none"):
                with pytest.raises(TenantConflict) as caught:
                    await s.replica.put_tenant(ALICE, "acme", b"weight: 3", revision=revision)
                assert caught.value.stands.document == {"weight": 7}
            with pytest.raises(TenantConflict):
                await s.replica.delete_tenant(ALICE, "acme", revision=first.revision)
            stands = caught.value.stands.revision
            after, _ = await s.replica.put_tenant(ALICE, "acme", b"weight: 3", revision=stands)
            await s.replica.delete_tenant(ALICE, "acme", revision=after.revision)
            with pytest.raises(NotFound):
                await s.replica.delete_tenant(ALICE, "acme", revision=None)

    run_virtual(main())


def test_what_is_not_valid_is_refused_with_the_place_of_each_fault() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            with pytest.raises(InvalidRequest) as caught:
                await s.replica.put_tenant(
                    ALICE, "acme", b"weight: 2\nclaim_rate:\n  per_s: 0\nmax_runing_steps: 3\n", revision=None
                )
            places = [(one.path, one.line, one.nearest) for one in caught.value.violations]
            assert places == [("claim_rate.per_s", 3, None), ("max_runing_steps", 4, "max_running_steps")]
            for tenant, body in (
                ("a b", b"weight: 2"),
                ("acme", b"- 1"),
                ("acme", b"a: 1\n---\nb: 2"),
                ("*", b"weight: 2"),
            ):
                with pytest.raises(InvalidRequest):
                    await s.replica.put_tenant(ALICE, tenant, body, revision=None)

    run_virtual(main())


def test_only_operators_write_and_a_tenant_reads_its_own_document_alone() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            for tenant in ("acme", "beta", "gamma"):
                await s.replica.put_tenant(ALICE, tenant, b"weight: 2", revision=None)
            await asyncio.sleep(2)
            with pytest.raises(Forbidden):
                await s.replica.put_tenant(BOB, "acme", b"weight: 9", revision=None)
            with pytest.raises(Forbidden):
                await s.replica.delete_tenant(BOB, "acme", revision=None)
            for other in ("beta", "nobody", "*"):
                with pytest.raises(NotFound):
                    await s.replica.tenant(BOB, other)
            assert [one.tenant for one in (await s.replica.tenants(BOB, after="", size=10)).tenants] == ["acme"]
            page = await s.replica.tenants(ALICE, after="", size=2)
            assert ([one.tenant for one in page.tenants], page.next) == (["acme", "beta"], "beta")
            page = await s.replica.tenants(ALICE, after="beta", size=2)
            assert ([one.tenant for one in page.tenants], page.next) == (["gamma"], None)

    run_virtual(main())


def test_a_document_that_is_not_valid_is_shown_with_its_fault_and_what_stays_in_force() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.replica.put_tenant(ALICE, "acme", b"weight: 2", revision=None)
            await asyncio.sleep(2)
            await edit(ModelStore(cluster), "acme", {"weight": "much"})
            await asyncio.sleep(2)
            view = await s.replica.tenant(ALICE, "acme")
            assert view.document == {"weight": "much"}
            assert view.error == 'weight: found "much"; allowed: a number'
            assert view.in_force is not None
            assert view.in_force["weight"] == 2.0

    run_virtual(main())


def test_what_stands_for_a_tenant_without_a_document_is_shown() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_tenant(
                ALICE, "*", b"{unknown_tenants: refuse, defaults: {max_running_steps: 3}}", revision=None
            )
            await asyncio.sleep(2)
            view = await s.replica.tenant(ALICE, "nobody")
            assert (view.document, view.revision) == (None, None)
            assert view.in_force == {
                "weight": 1.0,
                "priority_ceiling": 0,
                "paused": False,
                "max_running_steps": 3,
                "refused": True,
            }
            deployment = await s.replica.tenant(ALICE, "*")
            assert deployment.in_force is not None
            assert deployment.in_force["unknown_tenants"] == "refuse"

    run_virtual(main())
