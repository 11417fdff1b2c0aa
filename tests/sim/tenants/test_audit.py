"""Every change of a tenant's document has one row in the audit, whoever made it, whoever died while recording it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import Any

import pytest
from leasehold.core.errors import LeaseholdError
from leasehold.core.es.lines import delete_line

from tests.kit.model_store import ModelStore
from tests.kit.schedulers import NAMES, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import ALICE, OUTSIDE, Mortal, edit, outboxes, rows, told

Change = Callable[[Scheduler], Any]
A, B = {"weight": 2}, {"weight": 3}


async def api_put(s: Scheduler) -> None:
    await s.replica.put_tenant(ALICE, "acme", b"weight: 3", revision=None)


async def api_delete(s: Scheduler) -> None:
    await s.replica.delete_tenant(ALICE, "acme", revision=None)


async def raw_put(s: Scheduler) -> None:
    await edit(ModelStore(s.store.cluster), "acme", B)


async def raw_delete(s: Scheduler) -> None:
    await edit(ModelStore(s.store.cluster), "acme", None)


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, 10))
@pytest.mark.parametrize("change", [api_put, api_delete, raw_put, raw_delete])
def test_whoever_records_a_change_may_die_at_any_write(change: Change, dies_at: int, applied: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        mortal = Mortal(cluster)
        async with scheduler(cluster, store=mortal, replica_id="mortal", owning=False) as s:
            await edit(ModelStore(cluster), "acme", A)
            await asyncio.sleep(3)
            assert told(cluster, "acme") == [(OUTSIDE, A)]
            mortal.writes, mortal.dies_at, mortal.applied = 0, dies_at, applied
            with suppress(LeaseholdError):
                await change(s)
            await asyncio.sleep(5)
            async with scheduler(cluster, replica_id="survivor", owning=False):
                await asyncio.sleep(5)
                current = documents(cluster, NAMES.tenants).get("acme")
        changes = told(cluster, "acme")
        if current is not None and current["weight"] == 2:
            assert changes == [(OUTSIDE, A)], "the write itself was what failed"
            assert change in (api_put, api_delete)
        else:
            by = "alice" if change in (api_put, api_delete) else OUTSIDE
            after = B if change in (api_put, raw_put) else None
            assert changes == [(OUTSIDE, A), (by, after)]
        assert not outboxes(cluster)

    run_virtual(main())


def test_a_raw_edit_that_keeps_the_stamp_of_the_api_is_not_taken_for_the_apis() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = ModelStore(cluster)
        async with scheduler(cluster) as s:
            await api_put(s)
            await asyncio.sleep(3)
            stored = documents(cluster, NAMES.tenants)["acme"]
            assert stored["updated_by"] == "alice"
            await edit(anybody, "acme", stored | {"weight": 9})
            await asyncio.sleep(3)
            # An earlier document of the API's, put back with everything that it said.
            await edit(anybody, "acme", stored)
            await asyncio.sleep(3)
        assert told(cluster, "acme") == [("alice", B), (OUTSIDE, {"weight": 9}), (OUTSIDE, B)]

    run_virtual(main())


def test_what_the_api_wrote_is_recorded_before_the_api_writes_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            for weight in range(1, 20):
                await s.replica.put_tenant(ALICE, "acme", f"weight: {weight}".encode(), revision=None)
            await asyncio.sleep(3)
        assert told(cluster, "acme") == [("alice", {"weight": weight}) for weight in range(1, 20)]

    run_virtual(main())


def test_a_change_that_puts_nothing_in_force_is_recorded_as_a_failure_with_its_reason() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster):
            await edit(ModelStore(cluster), "acme", {"weight": 0})
            await asyncio.sleep(3)
        (row,) = rows(cluster, "acme")
        assert row["event"] == {
            "action": "change_tenant",
            "outcome": "failure",
            "reason": "weight: found 0; allowed: more than 0",
        }

    run_virtual(main())


def test_rows_that_wait_when_the_audit_index_rolls_over_are_there_once() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        mortal = Mortal(cluster)
        async with scheduler(cluster, store=mortal, replica_id="mortal", owning=False) as s:
            # It dies when the row is there and not confirmed.
            mortal.dies_at, mortal.applied = 3, True
            await api_put(s)
            await asyncio.sleep(3)
        assert outboxes(cluster)
        cluster.roll_over(NAMES.audit)
        async with scheduler(cluster, replica_id="survivor", owning=False):
            await asyncio.sleep(3)
        held = [
            document.id
            for index in cluster.resolve(NAMES.audit)
            for document in index.documents.values()
            if document.id.startswith("tenant:")
        ]
        assert len(held) == 1
        assert not outboxes(cluster)

    run_virtual(main())


def test_rows_go_on_in_another_index_when_theirs_is_gone() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster) as s:
            await api_put(s)
            await asyncio.sleep(3)
            cluster.roll_over(NAMES.audit)
            cluster.delete_index(NAMES.first(NAMES.audit))
            await edit(ModelStore(cluster), "acme", A)
            await asyncio.sleep(10)
        (row,) = rows(cluster, "acme")
        assert row["details"] == {"old": B, "new": A}
        assert not outboxes(cluster)

    run_virtual(main())


def test_what_the_audit_keeps_may_be_deleted_by_hand_and_no_row_is_lost() -> None:
    async def main() -> None:
        cluster = new_cluster()
        anybody = ModelStore(cluster)
        async with scheduler(cluster):
            await edit(anybody, "acme", A)
            await asyncio.sleep(3)
            await anybody.bulk([delete_line("audited:acme"), delete_line("acme")], index=NAMES.tenants)
            await asyncio.sleep(3)
            await edit(anybody, "acme", B)
            await asyncio.sleep(3)
        assert told(cluster, "acme") == [(OUTSIDE, A), (OUTSIDE, None), (OUTSIDE, B)]

    run_virtual(main())


@pytest.mark.parametrize("seed", range(12))
def test_edits_of_all_kinds_on_three_replicas_at_once_make_one_chain_of_rows(seed: int) -> None:
    """Raw edits have time to be seen; those of the API are recorded whatever the rest does."""

    async def main() -> None:
        random = Random(seed)
        cluster = new_cluster(lanes=3)
        written: dict[str, list[int]] = {"acme": [], "beta": []}
        async with AsyncExitStack() as stack:
            stores = [ModelStore(cluster, latency_s=lambda: random.uniform(0.0005, 0.02)) for _ in range(3)]
            replicas = [
                await stack.enter_async_context(
                    scheduler(cluster, store=store, replica_id=f"r{n}", seed=n, owning=False)
                )
                for n, store in enumerate(stores)
            ]

            async def operator(s: Scheduler, numbers: range) -> None:
                for number in numbers:
                    tenant = random.choice(("acme", "beta"))
                    if random.random() < 0.3:
                        s.store.faults.lose_answer(on="bulk", index="workflow-[ta]*")
                    try:
                        await s.replica.put_tenant(
                            ALICE, tenant, f"max_running_steps: {number}".encode(), revision=None
                        )
                        written[tenant].append(number)
                        if random.random() < 0.2:
                            await s.replica.delete_tenant(ALICE, tenant, revision=None)
                    except LeaseholdError:
                        pass
                    await asyncio.sleep(random.uniform(0, 0.2))

            async def somebody() -> None:
                anybody = ModelStore(cluster)
                for number in range(20):
                    await edit(anybody, "acme", {"max_running_steps": 9_000 + number})
                    await asyncio.sleep(random.uniform(0, 0.5))

            await asyncio.gather(
                *(operator(s, range(1_000 * n, 1_000 * n + 15)) for n, s in enumerate(replicas)), somebody()
            )
            for store in stores:
                store.faults.clear()
            await asyncio.sleep(10)
            standing = documents(cluster, NAMES.tenants)
        for tenant, numbers in written.items():
            changes = told(cluster, tenant)
            recorded = [after["max_running_steps"] for by, after in changes if after is not None and by == "alice"]
            assert len(recorded) == len(set(recorded))
            if tenant == "beta":
                assert set(numbers) <= set(recorded)
            last = standing.get(tenant)
            assert changes[-1][1] == (None if last is None else {"max_running_steps": last["max_running_steps"]})
        assert not outboxes(cluster)

    run_virtual(main())
