"""Waiting claims and the two ways they end early: the server stops, or the client leaves."""

import asyncio
from typing import cast

import pytest
from leasehold.core.app.web.surface import Surface
from leasehold.core.metrics import Metrics
from leasehold.core.replica import Replica
from leasehold.core.settings import LimitSettings


def surface() -> Surface:
    return Surface(cast("Replica", None), LimitSettings(), Metrics())


class Wait:
    """Something to wait for, which knows how it ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def __call__(self) -> str:
        self.begun.set()
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_what_comes_in_time_is_the_answer() -> None:
    wait, served = Wait(), surface()
    task = asyncio.create_task(served.interruptible(wait()))
    await wait.begun.wait()
    wait.answer.set_result("step")
    assert await task == "step"


async def test_a_stop_answers_a_waiting_claim_with_nothing_and_cancels_what_it_waited_for() -> None:
    wait, served = Wait(), surface()
    task = asyncio.create_task(served.interruptible(wait()))
    await wait.begun.wait()
    served.stop()
    assert await task is None
    assert wait.cancelled
    assert not task.cancelling()


async def test_a_client_that_leaves_cancels_the_claim_for_good() -> None:
    wait, served = Wait(), surface()
    task = asyncio.create_task(served.interruptible(wait()))
    await wait.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wait.cancelled


async def test_a_stop_leaves_claims_alone_that_have_been_answered() -> None:
    wait, served = Wait(), surface()
    wait.answer.set_result("step")
    assert await served.interruptible(wait()) == "step"
    served.stop()
    await asyncio.sleep(0)


async def test_settling_waits_for_what_runs_in_the_background() -> None:
    wait, served = Wait(), surface()

    async def give_back() -> None:
        await wait()

    served.in_background(give_back())
    settled = asyncio.create_task(served.settle())
    await wait.begun.wait()
    assert not settled.done()
    wait.answer.set_result("")
    await settled
