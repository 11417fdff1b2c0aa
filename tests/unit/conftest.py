"""Unit tests take no real time: what waits is tested on virtual time (`tests.kit.virtual_time`)."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, NoReturn

import pytest


@pytest.fixture(autouse=True)
def no_real_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that sleeps in real time. `asyncio.sleep(0)` only gives way; a virtual loop never waits."""
    really_sleep = asyncio.sleep

    async def sleep(delay: float, result: Any = None) -> Any:
        if delay > 0 and not hasattr(asyncio.get_running_loop(), "jumping"):
            _refuse(delay)
        return await really_sleep(delay, result)

    really_block = time.sleep

    def block(delay: float) -> None:
        # The standard library polls a child that it waits for: that is waiting for what is to happen.
        if sys._getframe(1).f_globals["__name__"] != "subprocess":
            _refuse(delay)
        really_block(delay)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(time, "sleep", block)


def _refuse(delay_s: float) -> NoReturn:
    pytest.fail(f"a unit test sleeps for {delay_s} s of real time; wait for what is to happen, or use virtual time")
