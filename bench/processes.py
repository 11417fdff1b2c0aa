"""The end of processes that this one started."""

from __future__ import annotations

import asyncio


async def ended(process: asyncio.subprocess.Process, *, within_s: float) -> int:
    """Wait for a process that was told to end, and kill it after `within_s`, or at once when the wait is cancelled.

    Returns its exit code (negative: the signal that ended it).
    """
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode
