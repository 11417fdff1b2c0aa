"""Whatever tenants and spaces there are, each caller's lists hold what it may read one by one, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leasehold.claim.wire import ErrorInfo, FailBody, StartBody
from leasehold.claim.wire.versions import MigrateBody
from leasehold.core.errors import NotFound
from leasehold.core.operations.steering.dead_letters import Filter
from leasehold.core.orders import Retry
from leasehold.core.principal import Principal

from tests.kit.schedulers import Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

PROVIDER = Principal("provider", "*", spaces=("*",))
ONE = "name: one\nversion: {version}\nsteps:\n  - {{name: only, executor: work}}\n"

tenants = st.sampled_from(["acme", "acme.x", "Acme", "acme-soc", "default"])
spaces = st.sampled_from(["default", "soc", "SOC", "acme", "*"])
principals = st.builds(
    lambda tenant, spaces: Principal("p", tenant, spaces=tuple(spaces)),
    tenants,
    st.lists(spaces, min_size=1, max_size=2, unique=True),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(starters=st.lists(principals, min_size=1, max_size=10), readers=st.lists(principals, min_size=1, max_size=6))
def test_lists_and_bulk_orders_reach_exactly_what_may_be_read(
    starters: Sequence[Principal], readers: Sequence[Principal]
) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            for version in (1, 2):
                await s.replica.put_definition(
                    PROVIDER, "one", ONE.format(version=version).encode(), activate=version == 1
                )
            ended = {await _start(s, starter): starter for starter in starters}
            await _fail_all(s)
            live = {await _start(s, starter): starter for starter in starters}
            for reader in (*readers, PROVIDER):
                mine = {id for id, starter in ended.items() if reader.reaches(starter.tenant, starter.space)}
                assert {id for id in ended if await _reads(s, reader, id)} == mine
                page = await s.replica.failed(reader, Filter(), after=None, size=100)
                assert {one.instance_id for one in page.instances} == mine
                assert {(one.tenant, one.space) for one in page.instances} <= {
                    (one.tenant, one.space) for one in starters if reader.reaches(one.tenant, one.space)
                }
                recordings = await s.replica.recordings(reader, "one", size=100, after=None)
                assert {one.instance_id for one in recordings.recordings} == mine
                running = {id for id, starter in live.items() if reader.reaches(starter.tenant, starter.space)}
                order = MigrateBody(from_version=1, to_version=2, dry_run=True)
                assert {one.instance_id for one in (await s.replica.migrate(reader, "one", order)).results} == running
            first = readers[0]
            brought = await s.replica.retry_failed(first, Filter(), at_most=100, order=Retry())
            assert {one.instance_id for one in brought} == {
                id for id, starter in ended.items() if first.reaches(starter.tenant, starter.space)
            }

    run_virtual(main())


async def _start(s: Scheduler, principal: Principal) -> str:
    answer, _ = await s.replica.start(principal, "one", StartBody(), idempotency_key=None, traceparent=None)
    return answer.instance_id


async def _fail_all(s: Scheduler) -> None:
    steps = await s.replica.claim(
        PROVIDER, ("work",), max_steps=100, lease_ms=60_000, wait_ms=0, worker="w", request_id=None
    )
    for step in steps:
        await s.replica.fail(PROVIDER, step.step_id, FailBody(ErrorInfo("boom", "")))
    await asyncio.sleep(5)


async def _reads(s: Scheduler, principal: Principal, id: str) -> bool:
    try:
        await s.replica.instance(principal, id)
    except NotFound:
        return False
    return True
