"""Load processes from outside: started, set up, given orders, and ended by their own process id whatever happens."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from msgspec import Struct

from ..errors import BenchError
from ..processes import ended
from .orders import Ready, role_command

T = TypeVar("T", bound=Struct)

# Answers hold raw samples: hundreds of thousands of them in one line.
_LINE_BYTES = 2**30
_SETUP_WITHIN_S = 120.0
_END_WITHIN_S = 2.0


class Hand:
    """One load process. One order at a time."""

    def __init__(self, role: str, process: asyncio.subprocess.Process) -> None:
        self._role = role
        self._process = process

    async def ask(self, order: Struct, answer: type[T], *, within_s: float) -> T:
        """Give an order and wait for its answer. Raises: BenchError when the process ended or takes too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                self._process.stdin.write(msgspec.json.encode(order) + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise BenchError(f"the {self._role} did not answer within {within_s:.0f} s") from None
        except ConnectionError:
            line = b""
        if not line:
            raise BenchError(f"the {self._role} ended early; what it said stands above")
        return msgspec.json.decode(line, type=answer)


@asynccontextmanager
async def hired(role: str, setup: Struct) -> AsyncIterator[Hand]:
    """A load process that has its setup. It is ended with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *role_command(role),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
        # Ctrl-C is for the benchmark, which ends its processes in order.
        start_new_session=True,
    )
    try:
        hand = Hand(role, process)
        await hand.ask(setup, Ready, within_s=_SETUP_WITHIN_S)
        yield hand
    finally:
        assert process.stdin is not None
        # Its orders end, so it ends.
        process.stdin.close()
        await ended(process, within_s=_END_WITHIN_S)
