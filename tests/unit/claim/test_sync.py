"""The synchronous face: the same client, with a thread of its own."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from leasehold.claim import ClaimClient, LeaseLost, SyncClaimClient
from leasehold.claim.transport import Answer

from .scripted import Heard, Script, ScriptedExchange, problem, said
from .test_client import STEP, STEP_ID, VIEW


@contextmanager
def opened(script: Script) -> Iterator[SyncClaimClient]:
    with SyncClaimClient("http://a", exchange=ScriptedExchange(a=script)) as client:
        yield client


def test_calls_return_what_the_coroutines_would() -> None:
    with opened(Script(said({"steps": [STEP]}), said({"step_id": STEP_ID, "status": "succeeded"}))) as client:
        (step,) = client.claim("scan", wait="5s")
        assert step.step_id == STEP_ID
        assert client.complete(step, {"n": 1}).status == "succeeded"


def test_errors_are_the_same_too() -> None:
    with (
        opened(Script(problem(409, "lease-lost", token_held=3))) as client,
        pytest.raises(LeaseLost) as caught,
    ):
        client.complete("s~a~1")
    assert caught.value.token_held == 3


def test_every_call_of_the_client_is_there_with_its_own_words() -> None:
    calls = {
        name
        for name, method in vars(ClaimClient).items()
        if inspect.iscoroutinefunction(method) and not name.startswith("_") and not name.endswith("_timed")
    }
    assert {name for name in vars(SyncClaimClient) if not name.startswith("_")} == calls
    for name in calls:
        assert getattr(SyncClaimClient, name).__doc__ == getattr(ClaimClient, name).__doc__


def test_several_threads_may_call_at_once() -> None:
    everyone = threading.Barrier(4, timeout=10)

    async def together(heard: Heard) -> Answer:
        await asyncio.get_running_loop().run_in_executor(None, everyone.wait)
        return said(VIEW)

    with opened(Script(together)) as client:
        threads = [threading.Thread(target=client.instance, args=("00-abc",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_its_thread_ends_with_it() -> None:
    with opened(Script(said(VIEW))) as client:
        client.instance("00-abc")
        assert "leasehold client" in threads()
    assert "leasehold client" not in threads()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="with SyncClaimClient"):
        SyncClaimClient().instance("00-abc")
