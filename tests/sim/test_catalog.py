"""Definitions in their index: versions for good, heads by conditional writes (`core.catalog`)."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.core.audit import Trail
from leasehold.core.catalog import Catalog
from leasehold.core.errors import Conflict, InvalidRequest, NotFound
from leasehold.core.metrics import Metrics
from leasehold.core.principal import Principal
from leasehold.core.settings import LimitSettings

from tests.kit.schedulers import ANYBODY, NAMES, new_cluster, scheduler
from tests.kit.virtual_time import VirtualClock, run_virtual

STRANGER = Principal("stranger", "globex")
EVERYBODY = Principal("provider", "*")


def source(version: int, executor: str = "work") -> bytes:
    return f"name: flow\nversion: {version}\nsteps: [{{name: only, executor: {executor}}}]\n".encode()


def test_a_stored_version_becomes_the_active_one_and_is_listed() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            for version in (1, 2):
                stored = await s.replica.put_definition(ANYBODY, "flow", source(version))
                assert (stored.created, stored.active) == (True, True)
            (listed,) = (await s.replica.list_definitions(ANYBODY)).definitions
            assert (listed.name, listed.active_version, listed.versions) == ("flow", 2, [1, 2])
            assert (await s.start("flow")).version == 2
            view = await s.replica.get_definition(ANYBODY, "flow", 1)
            assert (view.version, view.active, view.source) == (1, False, source(1).decode())

    run_virtual(main())


def test_a_version_is_immutable_but_the_same_content_may_come_again() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(ANYBODY, "flow", source(1))
            assert not (await s.replica.put_definition(ANYBODY, "flow", b"# reformatted\n" + source(1))).created
            with pytest.raises(Conflict, match="raise `version`"):
                await s.replica.put_definition(ANYBODY, "flow", source(1, executor="other"))

    run_virtual(main())


def test_two_replicas_storing_at_once_lose_neither_version() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=1)
        async with scheduler(cluster) as s:
            await asyncio.gather(*(s.replica.put_definition(ANYBODY, "flow", source(n)) for n in range(1, 5)))
            (listed,) = (await s.replica.list_definitions(ANYBODY)).definitions
            assert listed.versions == [1, 2, 3, 4]

    run_virtual(main())


def test_a_deleted_name_starts_no_more_and_its_running_instances_go_on() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(ANYBODY, "flow", source(1))
            started = await s.start("flow")
            await s.replica.delete_definition(ANYBODY, "flow")
            with pytest.raises(NotFound):
                await s.start("flow")
            with pytest.raises(NotFound):
                await s.replica.delete_definition(ANYBODY, "flow")
            await s.run_all(1)
            assert await s.status(started.instance_id) == "succeeded"

    run_virtual(main())


def test_what_one_tenant_stores_is_its_own_and_what_tenant_star_stores_is_everybodys() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(ANYBODY, "flow", source(1))
            with pytest.raises(NotFound):
                await s.replica.get_definition(STRANGER, "flow", None)
            await s.replica.put_definition(EVERYBODY, "flow", source(9))
            assert (await s.replica.get_definition(STRANGER, "flow", None)).version == 9
            assert (await s.replica.get_definition(ANYBODY, "flow", None)).version == 1

    run_virtual(main())


def test_another_replicas_new_version_is_noticed_without_asking_for_each_start() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as first:
            await first.replica.put_definition(ANYBODY, "flow", source(1))
            await first.start("flow")
            reads = first.store.requests.get("get", 0)
            await first.start("flow")
            assert first.store.requests.get("get", 0) == reads
            store, clock = first.store, VirtualClock()
            trail = Trail(store=store, names=NAMES, clock=clock, metrics=Metrics(), replica_id="another")
            await trail.open()
            another = Catalog(store=store, names=NAMES, clock=clock, limits=LimitSettings(), trail=trail)
            await another.put(ANYBODY, "flow", source(2))
            await asyncio.sleep(1)
            assert (await first.start("flow")).version == 2

    run_virtual(main())


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("other", source(1), "the address says 'other'"),
        ("flow", source(1) + b"---\n" + source(2), "found 2 definitions"),
        ("flow", b"name: flow", "steps"),
    ],
)
def test_a_body_that_is_not_the_named_definition_is_refused(name: str, body: bytes, words: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            with pytest.raises(InvalidRequest, match=words):
                await s.replica.put_definition(ANYBODY, name, body)

    run_virtual(main())


@pytest.mark.parametrize("name", ["", "../x", "acme/flow", "flow/1", "FLOW", "x" * 129, "é"])
def test_what_can_be_no_name_is_not_found(name: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.replica.put_definition(ANYBODY, "flow", source(1))
            with pytest.raises(NotFound):
                await s.replica.get_definition(ANYBODY, name, None)

    run_virtual(main())
