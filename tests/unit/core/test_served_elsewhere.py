"""What replicas hear of each other's claims leads to shares that settle and do not swing."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from leasehold.core.lanes.memory.ready_queue import ReadyQueue, ReadyStep
from leasehold.core.lanes.quotas.served_elsewhere import ServedElsewhere
from leasehold.core.metrics import Metrics
from leasehold.core.peers import AnyPeerRequest, PeerAnswer, ServedAt

WEIGHTS = {f"tenant-{n}": float(n % 10 + 1) for n in range(50)}


class Heard:
    """Implements `core.peers.Peers` for the exchange alone."""

    def __init__(self) -> None:
        self.at: dict[str, ServedElsewhere] = {}

    async def ask(self, address: str, request: AnyPeerRequest) -> PeerAnswer:
        assert isinstance(request, ServedAt)
        self.at[address].heard(request.served)
        return PeerAnswer()


def replicas(count: int, weights: dict[str, float] = WEIGHTS) -> list[tuple[ReadyQueue, ServedElsewhere]]:
    """Queues in which every tenant waits, and their exchanges."""
    peers, found = Heard(), []
    for number in range(count):
        queue = ReadyQueue(weight_of=lambda tenant: weights[tenant])
        others = [str(other) for other in range(count) if other != number]
        exchange = ServedElsewhere(
            queue=queue,
            peers=peers,
            addresses=lambda others=others: others,  # type: ignore[misc]
            replica_id=str(number),
            every_ms=1_000,
            metrics=Metrics(),
        )
        peers.at[str(number)] = exchange
        found.append((queue, exchange))
    return found


def fill(queue: ReadyQueue, tenants: dict[str, float], steps: int) -> None:
    for tenant, weight in tenants.items():
        for n in range(int(steps * weight)):
            queue.add(ReadyStep(None, "work", "work", tenant, n))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shares_of_a_backlog_that_stands_everywhere_stay_what_their_weights_say(count: int) -> None:
    """Everybody corrects what everybody sees; done at once, errors would grow from exchange to exchange."""

    async def main() -> None:
        found = replicas(count)
        for queue, _ in found:
            fill(queue, WEIGHTS, 120)
        seconds: list[Counter[str]] = []
        for second in range(30):
            served: Counter[str] = Counter()
            for number, (queue, _) in enumerate(found):
                # The first second is lopsided: one replica serves much more than the others.
                claims = 600 if second or number else 1_500
                served.update(step.tenant for step in queue.take(("work",), None, claims))
            seconds.append(served)
            await asyncio.gather(*(exchange.pass_once() for _, exchange in found))
        total = sum(WEIGHTS.values())
        for start in range(5, 20):
            window = sum(seconds[start : start + 10], Counter())
            for tenant, weight in WEIGHTS.items():
                assert window[tenant] / window.total() == pytest.approx(weight / total, rel=0.05)

    asyncio.run(main())


def test_who_waits_at_one_of_three_gets_as_much_as_those_who_wait_everywhere() -> None:
    async def main() -> None:
        found = replicas(3)
        for number, (queue, _) in enumerate(found):
            fill(queue, {"tenant-0": 1.0, "tenant-10": 1.0}, 6_000)
            if not number:
                fill(queue, {"tenant-20": 1.0}, 6_000)
        late: Counter[str] = Counter()
        for second in range(60):
            for queue, exchange in found:
                steps = queue.take(("work",), None, 60)
                if second >= 30:
                    late.update(step.tenant for step in steps)
                await exchange.pass_once()
        # The third can have no more than what the first replica serves: a third of all, which is its fair share.
        assert late["tenant-20"] / late.total() == pytest.approx(1 / 3, rel=0.03)

    asyncio.run(main())


def test_a_tenant_that_comes_to_all_replicas_at_once_gets_its_share_from_the_beginning() -> None:
    async def main() -> None:
        found = replicas(3)
        served: Counter[str] = Counter()
        for queue, _ in found:
            fill(queue, {"tenant-0": 1.0, "tenant-10": 1.0}, 3_000)
        for second in range(20):
            if second == 10:
                for queue, _ in found:
                    fill(queue, {"tenant-20": 1.0}, 3_000)
            for queue, exchange in found:
                steps = queue.take(("work",), None, 60)
                if second >= 10:
                    served.update(step.tenant for step in steps)
                await exchange.pass_once()
        assert served["tenant-20"] / served.total() == pytest.approx(1 / 3, rel=0.03)

    asyncio.run(main())


def test_what_was_heard_is_made_up_for_in_full_in_the_end_and_forgotten() -> None:
    async def main() -> None:
        (queue, exchange), _ = replicas(2)
        fill(queue, {"tenant-0": 1.0, "tenant-10": 1.0}, 1_000)
        exchange.heard({"work": {"tenant-0": 40.0}, "unknown": {"tenant-0": 1.0}})
        for _ in range(60):
            await exchange.pass_once()
        assert not exchange._owed
        taken = Counter(step.tenant for step in queue.take(("work",), None, 240))
        assert taken["tenant-10"] - taken["tenant-0"] == pytest.approx(40, abs=2)

    asyncio.run(main())


@pytest.mark.parametrize("count", [2, 3])
def test_a_larger_weight_leaves_nobody_without_a_share_until_old_charges_are_settled(count: int) -> None:
    async def main() -> None:
        weights = {"raised": 1.0, "other": 3.0}
        found = replicas(count, weights)
        for queue, _ in found:
            fill(queue, dict.fromkeys(weights, 1.0), 4_000)
        for second in range(20):
            if second == 15:
                weights["raised"] = 9.0
                for queue, exchange in found:
                    exchange.weights_change()
                    queue.reweigh()
            served = Counter(step.tenant for queue, _ in found for step in queue.take(("work",), None, 120))
            expected = 1 / 4 if second >= 15 else 3 / 4
            if second >= 5:
                assert served["other"] / served.total() == pytest.approx(expected, abs=0.05), second
            await asyncio.gather(*(exchange.pass_once() for _, exchange in found))

    asyncio.run(main())
