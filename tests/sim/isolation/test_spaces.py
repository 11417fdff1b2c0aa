"""Spaces inside a tenant, and names that mean something within one of them alone."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire import CompleteBody, StartBody
from leasehold.core.errors import Conflict, NotFound
from leasehold.core.orders import Cancel
from leasehold.core.principal import Principal

from tests.kit.schedulers import Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

SOC = Principal("ann", "acme", spaces=("soc",))
LAB = Principal("bob", "acme", spaces=("lab",))
BOTH = Principal("cat", "acme", spaces=("lab", "soc"))
EVERYWHERE = Principal("dan", "acme", spaces=("*",))
OTHERS = Principal("eve", "globex", spaces=("soc",))
CALLERS = (SOC, LAB, BOTH, EVERYWHERE, OTHERS)
PROVIDER = Principal("provider", "*")

PLAIN = "name: plain\nversion: 1\nsteps:\n  - {name: only, executor: work}\n"
GROUPED = """
name: grouped
version: 1
concurrency: {key: one, limit: 1, strategy: cancel_running}
memory: {key: one}
steps:
  - {name: only, executor: work, input: {seen: "{{ memory.seen | default('nothing') }}"}}
  - {name: keep, remember: {seen: "{{ instance.space }}"}}
"""
KEYED = """
name: keyed
version: 1
idempotency: "daily"
steps:
  - {name: only, executor: work}
"""


async def started(s: Scheduler, principal: Principal, name: str = "plain", key: str | None = None) -> tuple[str, bool]:
    answer, created = await s.replica.start(principal, name, StartBody(), idempotency_key=key, traceparent=None)
    return answer.instance_id, created


async def sees(s: Scheduler, principal: Principal, id: str) -> bool:
    try:
        await s.replica.instance(principal, id)
    except NotFound:
        return False
    return True


async def define(s: Scheduler, *sources: str) -> None:
    for source in sources:
        name = source.split("name:", 1)[1].split()[0]
        await s.replica.put_definition(PROVIDER, name, source.encode())


def test_an_instance_is_seen_in_its_own_space_and_a_global_one_in_all_of_its_tenant() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN)
            expected = {SOC: (SOC, BOTH, EVERYWHERE), BOTH: (LAB, BOTH, EVERYWHERE), OTHERS: (OTHERS,)}
            expected[EVERYWHERE] = (SOC, LAB, BOTH, EVERYWHERE)
            for starter, seers in expected.items():
                id, _ = await started(s, starter)
                assert [one for one in CALLERS if await sees(s, one, id)] == list(seers)

    run_virtual(main())


def test_a_global_instance_is_steered_from_any_space() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN)
            id, _ = await started(s, EVERYWHERE)
            assert (await s.replica.instance(LAB, id)).space == "*"
            assert (await s.replica.steer(LAB, id, Cancel())).status == "cancelled"

    run_virtual(main())


def test_names_of_spaces_are_compared_exactly() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN)
            id, _ = await started(s, SOC)
            for tenant, space in (("acme", "SOC"), ("acme", "so"), ("acme", "soc."), ("ACME", "soc"), ("acm", "soc")):
                assert not await sees(s, Principal("x", tenant, spaces=(space,)), id)

    run_virtual(main())


@pytest.mark.parametrize("name", ["plain", "keyed"])
def test_an_idempotency_key_is_a_name_within_one_space_of_one_tenant(name: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN, KEYED)
            key = "daily" if name == "plain" else None
            first = {one: (await started(s, one, name, key))[0] for one in (SOC, LAB, OTHERS, EVERYWHERE)}
            assert len(set(first.values())) == 4
            for one, id in first.items():
                assert await started(s, one, name, key) == (id, False)
                assert await sees(s, one, id)

    run_virtual(main())


def test_a_key_that_another_space_used_for_another_request_is_no_conflict() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN, KEYED)
            await started(s, SOC, "plain", "k")
            assert (await started(s, LAB, "keyed", "k"))[1]
            with pytest.raises(Conflict):
                await started(s, SOC, "keyed", "k")

    run_virtual(main())


def test_no_key_of_a_space_is_that_of_another_however_they_are_written() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN, KEYED)
            ids = [
                await started(s, Principal("x", tenant, spaces=(space,)), "plain", key)
                for tenant, space, key in (
                    ("a", "default", "b"),
                    ("a", "b", "b"),
                    ("a.b", "default", "b"),
                    ("a", "*", "b"),
                )
            ]
            assert [created for _, created in ids] == [True] * 4

    run_virtual(main())


def test_a_concurrency_group_and_a_memory_belong_to_one_space() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await define(s, GROUPED)
            for turn in range(2):
                for one in (SOC, LAB, OTHERS):
                    id, _ = await started(s, one, "grouped")
                    # `cancel_running`: a member of the same group would have been told to go.
                    assert (await s.replica.instance(one, id)).status == "running"
                steps = await s.replica.claim(
                    PROVIDER, ("work",), max_steps=10, lease_ms=60_000, wait_ms=0, worker="w", request_id=None
                )
                assert len(steps) == 3
                for step in steps:
                    expected = "nothing" if turn == 0 else step.space if step.tenant == "acme" else "soc"
                    assert step.payload == {"seen": expected}
                    await s.replica.complete(PROVIDER, step.step_id, CompleteBody())
                await asyncio.sleep(5)
            groups = [one for one in documents(cluster, "workflow-keys").values() if one["kind"] == "group"]
            assert {(one["tenant"], one["space"]) for one in groups} == {
                ("acme", "soc"),
                ("acme", "lab"),
                ("globex", "soc"),
            }

    run_virtual(main())


def test_how_much_other_tenants_wait_for_is_told_to_operators_alone() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s, PLAIN)
            await s.replica.claim(SOC, ("work",), max_steps=1, lease_ms=60_000, wait_ms=0, worker="w", request_id=None)
            for _ in range(3):
                await started(s, OTHERS)
            id, _ = await started(s, SOC)
            operator = Principal("ops", "acme", spaces=("soc",), roles=("operator",))
            told = [str((await s.replica.explain(one, id)).causes) for one in (SOC, operator)]
            assert ["other tenants" in one for one in told] == [False, True]

    run_virtual(main())
