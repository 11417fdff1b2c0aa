"""Under which circumstances a figure was measured: commit, versions, machine, and who else used its processors."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any

_LIBRARIES = ("leasehold", "aiohttp", "msgspec", "elasticsearch", "elastic-transport", "jinja2")
_ROOT = Path(__file__).resolve().parent.parent
_GIT_WITHIN_S = 10


def commit() -> str | None:
    """The commit that runs, if this is a checkout; `+changes` follows where tracked files differ from it.

    The benchmark's own results do not count.
    """
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return (
        f"{head}+changes"
        if _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results")
        else head
    )


def versions() -> dict[str, str]:
    """Python and the libraries on the hot path."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The hardware, as far as this system tells."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
    }


class Usage:
    """Who used the machine's processors, from here to `since`."""

    def __init__(self) -> None:
        self._load_average = [round(load, 2) for load in os.getloadavg()]
        self._began_s = monotonic()
        self._machine_s = _machine_cpu_s()
        self._own_s = _own_cpu_s()

    def since(self, elasticsearch_s: float) -> dict[str, Any]:
        """Processors busy on average: in all, and with work that is not this run's. Call it once all processes ended.

        `elasticsearch_s`: what a server that is no descendant of this process used for the run, on this machine.
        """
        found: dict[str, Any] = {"load_average_before": self._load_average}
        machine_s = _machine_cpu_s()
        if machine_s is not None and self._machine_s is not None:
            span_s = monotonic() - self._began_s
            all_s = machine_s - self._machine_s
            others_s = all_s - (_own_cpu_s() - self._own_s) - elasticsearch_s
            found["cpus_busy"] = round(all_s / span_s, 2)
            found["cpus_busy_with_other_work"] = round(max(0.0, others_s) / span_s, 2)
        return found


def _machine_cpu_s() -> float | None:
    """Processor seconds used by everything on the machine since it started; None where no file tells."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    # user nice system idle iowait irq softirq steal; guests are counted in user already.
    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_cpu_s() -> float:
    """Processor seconds used by this process and by those of its descendants that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _git(*arguments: str) -> str | None:
    if not (_ROOT / ".git").exists():
        return None
    try:
        ran = subprocess.run(  # noqa: S603 - fixed words only
            ("git", "-C", str(_ROOT), *arguments),  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=_GIT_WITHIN_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
