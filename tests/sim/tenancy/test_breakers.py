"""A tenant's capability that keeps failing is left alone and tried again: the replica on the model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from leasehold.claim.wire import ClaimedStep, CompleteBody, ErrorInfo, FailBody, StartBody
from leasehold.core.metrics import Metrics
from leasehold.core.principal import Principal

from tests.kit.schedulers import Scheduler, live, new_cluster, scheduler
from tests.kit.virtual_time import VirtualClock, run_virtual

ACME = Principal("tester", "acme", roles=("operator",))
BETA = Principal("tester", "beta", roles=("operator",))
EVERYBODY = Principal("worker", "*", roles=("operator",))

FETCH = """
name: fetch
steps:
  - {name: get, executor: http}
"""
COUNT = """
name: count
steps:
  - {name: add, executor: work}
"""
OPEN_FOR_S = 30
BREAKER = {"failure_share": 0.5, "min_attempts": 4, "window": "60s", "open_for": f"{OPEN_FOR_S}s"}


class Ground:
    """One replica, with the two workflows for two tenants; acme's `http` has a breaker."""

    def __init__(self, s: Scheduler, metrics: Metrics) -> None:
        self.s = s
        self.metrics = metrics

    async def prepare(self, **breaker: object) -> None:
        for principal in (ACME, BETA):
            for name, source in (("fetch", FETCH), ("count", COUNT)):
                await self.s.replica.put_definition(principal, name, source.encode())
        await self.put({"capabilities": {"http": {"breaker": {**BREAKER, **breaker}}}})

    async def put(self, document: object, tenant: str = "acme") -> None:
        await self.s.replica.put_tenant(ACME, tenant, msgspec.json.encode(document), revision=None)
        await asyncio.sleep(2)

    async def start(self, count: int, name: str = "fetch", principal: Principal = ACME) -> list[str]:
        found = []
        for _ in range(count):
            answer, _ = await self.s.replica.start(principal, name, StartBody(), idempotency_key=None, traceparent=None)
            found.append(answer.instance_id)
        return found

    async def claim(
        self,
        capability: str = "http",
        principal: Principal = ACME,
        *,
        max_steps: int = 1,
        wait_s: float = 0,
        lease_ms: int = 60_000,
    ) -> list[ClaimedStep]:
        return await self.s.replica.claim(
            principal,
            (capability,),
            max_steps=max_steps,
            lease_ms=lease_ms,
            wait_ms=int(wait_s * 1_000),
            worker="worker-1",
            request_id=None,
        )

    async def fail(self, *steps: ClaimedStep) -> None:
        for step in steps:
            await self.s.replica.fail(ACME, step.step_id, FailBody(ErrorInfo("http_error", "503")))

    async def complete(self, *steps: ClaimedStep) -> None:
        for step in steps:
            await self.s.replica.complete(ACME, step.step_id, CompleteBody(None))

    async def open(self) -> None:
        """Let four attempts fail."""
        steps = await self.claim(max_steps=4)
        assert len(steps) == 4
        await self.fail(*steps)
        assert self.breakers_open == 1

    @property
    def breakers_open(self) -> float | None:
        return self.metrics.registry.get_sample_value("leasehold_breakers_open")


def on_ground(main: Callable[[Ground], Awaitable[None]], **breaker: object) -> None:
    async def run() -> None:
        metrics = Metrics()
        async with scheduler(new_cluster(), metrics=metrics) as s:
            ground = Ground(s, metrics)
            await ground.prepare(**breaker)
            await main(ground)

    run_virtual(run())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_what_keeps_failing_is_not_claimed_while_all_else_goes_on() -> None:
    async def main(ground: Ground) -> None:
        mine = await ground.start(10)
        await ground.start(2, "count")
        await ground.start(2, principal=BETA)
        await ground.open()
        assert await ground.claim(max_steps=10, wait_s=OPEN_FOR_S - 1) == []
        assert len(await ground.claim("work", max_steps=10)) == 2
        (step,) = await ground.claim(principal=EVERYBODY)
        assert step.tenant == "beta"
        held_back = [(await ground.s.replica.instance(ACME, id)).status for id in mine]
        assert sorted(held_back) == ["failed"] * 4 + ["running"] * 6

    on_ground(main)


@pytest.mark.parametrize("probes", [1, 3])
def test_so_many_probes_go_out_and_their_success_lets_all_through(probes: int) -> None:
    async def main(ground: Ground) -> None:
        await ground.start(20)
        await ground.open()
        opened_s = now_s()
        claim = asyncio.create_task(ground.claim(max_steps=10, wait_s=50))
        tried = await claim
        assert OPEN_FOR_S - 1 < now_s() - opened_s < OPEN_FOR_S + 0.1
        assert len(tried) == probes
        waiting = asyncio.create_task(ground.claim(max_steps=10, wait_s=50))
        await asyncio.sleep(10)
        assert not waiting.done()
        before_s = now_s()
        await ground.complete(*tried)
        assert len(await waiting) == 10
        assert now_s() - before_s < 0.1 * probes
        assert ground.breakers_open == 0

    on_ground(main, probes=probes)


def test_it_says_why_and_until_when() -> None:
    async def main(ground: Ground) -> None:
        await ground.start(10)
        (lane,) = ground.s.replica._engine.lanes.values()
        assert lane.quotas.why("acme", "http") is None
        await ground.open()
        stop = lane.quotas.why("acme", "http")
        assert stop is not None
        assert (
            stop.reason == "100% of the attempts of capability http failed, so its breaker holds it back for 30 s more"
        )
        assert stop.quota == "breaker"
        assert stop.until_ms is not None
        # It opened when the last failure was heard of, a round trip before that was acknowledged.
        assert 0 <= VirtualClock().now_ms() + OPEN_FOR_S * 1_000 - stop.until_ms < 10
        assert lane.quotas.why("acme", "work") is None
        assert lane.quotas.why("beta", "http") is None
        await ground.claim(wait_s=50)
        stop = lane.quotas.why("acme", "http")
        assert stop is not None
        assert (stop.used, stop.allowed, stop.until_ms) == (1, 1, None)

    on_ground(main)


def test_a_probe_that_fails_keeps_it_shut_for_as_long_again() -> None:
    async def main(ground: Ground) -> None:
        await ground.start(10)
        await ground.open()
        (probe,) = await ground.claim(wait_s=50)
        await ground.fail(probe)
        opened_s = now_s()
        (probe,) = await ground.claim(wait_s=50)
        assert now_s() - opened_s > OPEN_FOR_S - 1
        await ground.complete(probe)
        assert len(await ground.claim(max_steps=10)) == 4

    on_ground(main)


def test_a_probe_that_is_given_back_or_cancelled_makes_room_for_another() -> None:
    async def main(ground: Ground) -> None:
        await ground.start(10)
        await ground.open()
        (probe,) = await ground.claim(wait_s=50)
        waiting = asyncio.create_task(ground.claim(wait_s=50))
        await asyncio.sleep(5)
        assert not waiting.done()
        await ground.s.replica.release(ACME, probe.step_id)
        await asyncio.sleep(1.1)
        (probe,) = await waiting
        waiting = asyncio.create_task(ground.claim(wait_s=50))
        await asyncio.sleep(5)
        assert not waiting.done()
        await ground.s.replica.cancel(ACME, probe.workflow_id, None)
        await asyncio.sleep(1.1)
        (probe,) = await waiting
        assert await ground.claim() == []
        await ground.complete(probe)
        assert len(await ground.claim(max_steps=10)) == 4

    on_ground(main)


def test_attempts_that_were_lost_count_as_failed() -> None:
    async def main(ground: Ground) -> None:
        await ground.start(10)
        lost = await ground.claim(max_steps=4, lease_ms=5_000)
        assert len(lost) == 4
        await asyncio.sleep(10)
        assert ground.breakers_open == 1
        assert await ground.claim(max_steps=10) == []

    on_ground(main)


def test_attempts_that_were_given_back_do_not_count() -> None:
    async def main(ground: Ground) -> None:
        await ground.start(10)
        for step in await ground.claim(max_steps=8):
            await ground.s.replica.release(ACME, step.step_id)
        assert ground.breakers_open == 0
        await ground.fail(*await ground.claim(max_steps=3))
        assert ground.breakers_open == 0

    on_ground(main)


def test_a_changed_document_takes_the_breaker_away_within_two_seconds() -> None:
    async def main(ground: Ground) -> None:
        await ground.start(10)
        await ground.open()
        waiting = asyncio.create_task(ground.claim(max_steps=10, wait_s=50))
        await asyncio.sleep(0.1)
        await ground.put({})
        assert waiting.done()
        assert len(await waiting) == 6
        assert ground.breakers_open == 0

    on_ground(main)


def test_a_tenants_breaker_is_for_every_capability_without_one_of_its_own() -> None:
    async def main(ground: Ground) -> None:
        own = {"failure_share": 1.0, "min_attempts": 100}
        await ground.put({"breaker": BREAKER, "capabilities": {"work": {"breaker": own}, "http": {}}})
        await ground.start(10)
        await ground.start(10, "count")
        await ground.fail(*await ground.claim("work", max_steps=4))
        assert ground.breakers_open == 0
        await ground.open()
        assert len(await ground.claim("work", max_steps=10)) == 6

    on_ground(main)


def test_the_deployments_breaker_of_a_capability_is_one_for_each_tenant_that_has_none() -> None:
    async def main(ground: Ground) -> None:
        await ground.put({})
        await ground.put({"capabilities": {"http": {"breaker": BREAKER}}}, "*")
        await ground.start(10)
        await ground.start(3, principal=BETA)
        await ground.open()
        steps = await ground.claim(principal=EVERYBODY, max_steps=10)
        assert [step.tenant for step in steps] == ["beta"] * 3

    on_ground(main)


def test_the_next_owner_of_the_lane_claims_all_that_was_held_back_and_nothing_is_lost() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        async with scheduler(cluster, metrics=metrics) as s:
            ground = Ground(s, metrics)
            await ground.prepare()
            ids = await ground.start(12)
            await ground.open()
            (probe,) = await ground.claim(wait_s=50)
        metrics = Metrics()
        async with scheduler(cluster, replica_id="replica-b", metrics=metrics) as s:
            ground = Ground(s, metrics)
            steps = await ground.claim(max_steps=20)
            assert len(steps) == 7
            await ground.complete(probe, *steps)
            ended = [(await s.replica.instance(ACME, id)).status for id in ids]
            assert sorted(ended) == ["failed"] * 4 + ["succeeded"] * 8
            await asyncio.sleep(60)
            assert live(cluster) == {}

    run_virtual(main())
