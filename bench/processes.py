"""Processes: the end of those that this one started, and what a process has used of the machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


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


def has_account(pid: int) -> bool:
    """Whether this machine keeps accounts of a process: it runs, and there is a /proc."""
    return Path(f"/proc/{pid}/stat").exists()


def cpu_s_of(pid: int) -> float:
    """The processor time that a process of this machine has used, in its own code and in the kernel.

    Raises: OSError when it has ended, or where the system keeps no /proc.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_bytes_of(pid: int) -> tuple[int, int]:
    """The memory that a process holds now, and the most that it ever held. Raises: OSError as `cpu_s_of`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    now_kib, peak_kib = (int(found[name].split()[0]) for name in ("VmRSS", "VmHWM"))
    return now_kib * 1_024, peak_kib * 1_024
