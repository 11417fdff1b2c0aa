"""A scheduler runs on the fastest loop that is installed, and on asyncio's own without it."""

import asyncio
import sys

import pytest
import uvloop
from leasehold.core.app.event_loop import run


async def loop_of_this() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_a_scheduler_runs_on_uvloop() -> None:
    assert run(loop_of_this()) is uvloop.Loop


def test_without_uvloop_it_runs_on_asyncios_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(loop_of_this()) is not uvloop.Loop
