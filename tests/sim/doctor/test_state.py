"""The doctor over several replicas in virtual time: owners, clocks, lag, definitions, quotas, leftovers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from leasehold.claim.wire.doctor import Finding
from leasehold.core.errors import Conflict
from leasehold.core.es.lines import create_line, delete_line
from leasehold.core.lanes.ownership.control import ReplicaRecord
from leasehold.tenancy.shares import QuotaDocument, Share

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, NAMES, ONE_STEP, SETTINGS, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import VirtualClock, run_virtual
from tests.sim.groups.ground import FOREVER, member
from tests.sim.retention.test_sides import leave_behind

# What takes administrative requests is tried on a real server (`tests/cluster/doctor`).
STATE = ("lanes", "definitions", "replicas", "clocks", "history_lag", "audit", "quotas", "orphans")


async def examine(s: Scheduler, *only: str, fix: bool = False) -> list[Finding]:
    view = await s.replica.examine(ANYBODY, fix=fix, only=only or STATE)
    assert view.healthy == all(one.fixed for one in view.findings)
    return view.findings


async def put(cluster: ModelElasticsearch, id: str, document: object) -> None:
    (item,) = await ModelStore(cluster).bulk([create_line(id), msgspec.json.encode(document)], index=NAMES.control)
    assert item.status == 201


def test_a_healthy_installation_has_no_findings_while_it_works() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1) as a, member(cluster, peers, "b", 2) as b:
            await asyncio.sleep(10)
            await a.define(ONE_STEP)
            for _ in range(20):
                await a.start("one", key=str(_))
                await b.run_all(1)
                assert await examine(a) == []
                assert await examine(b, fix=True) == []

    run_virtual(main())


def test_a_lane_whose_owner_is_dead_is_told_and_found_taken_after_it_is() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        # Nobody takes it, for as long as the one that is left thinks the owner alive.
        async with (
            member(cluster, peers, "a", 1, lease_ms=10_000) as a,
            member(cluster, peers, "b", 2, lease_ms=10_000) as b,
        ):
            await asyncio.sleep(10)
            store = ModelStore(cluster)
            (lost,) = [one.lane for one in await b.replica.lanes() if one.mine]
            a.faults.fail_items(503, fits=lambda operation: operation.id == f"lane-{lost}", times=FOREVER)
            b.faults.cut_off(times=FOREVER)
            peers.cut_off.add("http://127.0.0.1:2")
            await asyncio.sleep(25)
            (found,) = await examine(a, "lanes")
            assert found.what == f"Lane {lost} is owned by b, which is silent; its instances do not move."
            (left,) = await examine(a, "lanes", fix=True)
            assert (left.fixed, left.done) == (False, "told all replicas to look whose the lane is")

            a.faults.clear()
            await asyncio.sleep(5)
            assert await examine(a, "lanes", fix=True) == []
            # A lease document that somebody has deleted.
            await store.bulk([delete_line(f"lane-{lost}")], index=NAMES.control)
            await asyncio.sleep(1)
            (found,) = await examine(a, "lanes")
            assert found.fixable
            assert "has no lease document" in found.what
            await examine(a, "lanes", fix=True)
            await asyncio.sleep(5)
            assert await examine(a, "lanes") == []
            assert all(one.mine for one in await a.replica.lanes())

    run_virtual(main())


def test_a_skewed_clock_is_seen_through_the_round_trip_and_a_right_one_is_not() -> None:
    async def main() -> None:
        for skew_ms, severity in ((900, None), (-900, None), (5_000, "warning"), (-300_000, "error")):
            cluster, peers = new_cluster(lanes=2), ModelPeers()
            async with member(cluster, peers, "a", 1) as a:
                settings = msgspec.structs.replace(SETTINGS, server=msgspec.structs.replace(SETTINGS.server, port=2))
                async with scheduler(
                    cluster,
                    settings=settings,
                    replica_id="b",
                    seed=2,
                    owning=False,
                    peers=peers,
                    clock=VirtualClock(skew_ms),
                ) as b:
                    peers.join("http://127.0.0.1:2", b.replica)
                    await asyncio.sleep(10)
                    found = await examine(a, "clocks")
                    assert [one.severity for one in found] == ([severity] if severity else [])
                    if found:
                        side = "ahead of" if skew_ms > 0 else "behind"
                        assert f"is {abs(skew_ms) / 1_000:.1f} s {side} this replica's" in found[0].what
                        (same,) = await examine(b, "clocks")
                        assert "replica a at http://127.0.0.1:1" in same.what

    run_virtual(main())


def test_a_replica_that_does_not_answer_is_told() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1) as a, member(cluster, peers, "b", 2):
            await asyncio.sleep(10)
            peers.cut_off.add("http://127.0.0.1:2")
            (found,) = await examine(a, "replicas")
            assert "Replica b renews its record and does not answer at http://127.0.0.1:2" in found.what

    run_virtual(main())


def test_history_that_lags_is_told_of_whichever_replica_lags() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(lanes=2), ModelPeers()
        async with member(cluster, peers, "a", 1) as a, member(cluster, peers, "b", 2) as b:
            await asyncio.sleep(10)
            await a.define(ONE_STEP)
            b.faults.refuse(429, on="bulk", index="workflow-steps-*", times=FOREVER)
            await b.start("one")
            await b.run_all(1)
            await asyncio.sleep(20)
            (found,) = await examine(a, "history_lag")
            assert found.what.startswith("Replica b waits for ")
            b.faults.clear()
            await asyncio.sleep(10)
            assert await examine(a, "history_lag") == []

    run_virtual(main())


def test_instances_whose_definition_is_gone_wait_and_go_on_when_it_is_stored_again() -> None:
    """The engine does not fail them: what the doctor tells is what there is to do."""

    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            instance_id = (await s.start("one")).instance_id
        stored = ModelStore(cluster)
        document = await stored.get(NAMES.definitions, "acme/one/1")
        assert document is not None
        await stored.bulk([delete_line("acme/one/1")], index=NAMES.definitions)
        async with scheduler(cluster, replica_id="replica-b") as s:
            await asyncio.sleep(40)
            assert await s.claim(wait_ms=1_000) == []
            assert await s.status(instance_id) == "running"
            with pytest.raises(Conflict, match="one version 1, which it runs, is gone; store that very version again"):
                await s.replica.cancel(ANYBODY, instance_id, None)
            (found,) = await examine(s)
            assert found.what == "1 live instance of tenant acme runs one version 1, which is gone."
            (same,) = await examine(s, fix=True)
            assert (same.fixed, same.fixable) == (False, False)
        await stored.bulk([create_line("acme/one/1"), document.source], index=NAMES.definitions)
        async with scheduler(cluster, replica_id="replica-c") as s:
            assert await examine(s) == []
            await s.run_all(1)
            assert await s.status(instance_id) == "succeeded"

    run_virtual(main())


def test_quotas_and_leftovers_are_told_and_cleared() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.replica.add_lanes(1)
            await asyncio.sleep(5)
            await s.replica.drain_lane("01")
            await asyncio.sleep(10)
            await s.replica.remove_lane("01", early=True)
            quota = QuotaDocument(limit=3, as_of=0, shares={"00": Share(1, 4), "01": Share(1, 1)})
            await put(cluster, "quota:running_steps:gone:", quota)
            await put(cluster, "replica-x", ReplicaRecord(replica="x", address="http://x", started_at_ms=1))
            await leave_behind(cluster)
            await asyncio.sleep(40)
            assert [one.what for one in await examine(s)] == [
                "Lanes have 5 units of quota:running_steps:gone:, which allows 3.",
                "quota:running_steps:gone: names lanes that are gone: 01.",
                "Lane 00 holds 1 large value whose instances are gone.",
                "Records of replicas that are not listed stand in the control index: x.",
            ]
            first = await examine(s, fix=True)
            assert [one.fixed for one in first] == [False, True, False, False]
            await asyncio.sleep(70)
            second = await examine(s, fix=True)
            assert [one.what for one in second if not one.fixed] == [
                "Lanes have 4 units of quota:running_steps:gone:, which allows 3."
            ]

    run_virtual(main())
