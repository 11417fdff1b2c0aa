"""Virtual time: an event loop whose clock jumps to the next deadline as soon as nothing is left to do.

A test that waits seven days takes milliseconds, and takes the same course every time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")

EPOCH_MS = 1_800_000_000_000


class NothingWillHappen(RuntimeError):
    """Every task waits and no timer is set: on a real loop the test would hang."""


class _JumpingSelector(selectors.BaseSelector):
    """Wraps a real selector; where that would sleep, time passes instead."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingWillHappen("every task waits and no timer is set")
        self.now_s += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map() or {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, for code that does no real I/O."""

    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        # Rounded to the nanosecond, so that sums of timeouts reach their deadline in spite of binary fractions.
        return round(self.jumping.now_s, 9)


class VirtualClock:
    """The clocks of a process on a virtual loop. Implements `core.ports.Clock`; `skew_ms` shifts its wall clock."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        return EPOCH_MS + self.monotonic_ms() + self.skew_ms

    def monotonic_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1_000 + 1e-6)


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
