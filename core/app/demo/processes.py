"""A replica and a worker as processes of their own, stopped with the demonstration."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ...errors import LeaseholdError

T = TypeVar("T")

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_INTERVAL_S = 0.05
_STOP_WITHIN_S = 20.0
_SCRIPT = "from leasehold.core.app.script import main; main()"
_PR_SET_PDEATHSIG = 1


class DemoFailed(LeaseholdError):
    """The demonstration could not go on; the sentence says why, and the way out."""


class Command:
    """`leasehold <arguments>` as a child process; a context manager. It logs JSON lines to `log_file`."""

    def __init__(self, name: str, arguments: list[str], variables: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log_file = folder / f"{name}.log"
        self._arguments = arguments
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")},
            "LEASEHOLD_LOG_FORMAT": "json",
            **variables,
        }
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def __enter__(self) -> Self:
        # An exception that a signal raises while Python forks is lost, so signals wait until there is a child to stop.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        try:
            self._child = self._started(held)
        finally:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
            except BaseException:
                self._stop()
                raise
        return self

    def _started(self, mask: set[signal.Signals | int]) -> subprocess.Popen[bytes]:
        def before_it_runs() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if sys.platform == "linux":
                _end_with_parent()

        with self.log_file.open("ab") as log:
            # Its own session: a Ctrl-C of the terminal reaches this process alone, which then stops them in order.
            return subprocess.Popen(  # noqa: S603  our own interpreter and script
                [sys.executable, "-c", _SCRIPT, *self._arguments],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=before_it_runs,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def check(self) -> None:
        """Raises: DemoFailed when the process has ended by itself."""
        assert self._child is not None
        code = self._child.poll()
        if code is not None:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise DemoFailed(f"the {self.name} {how}; it said last: {self._last_words()}")

    def logged(self, event: str, field: str) -> str | None:
        """A field of the first log line about `event`, once there is one."""
        for line in self._lines():
            entry = _entry(line)
            if entry.get("event") == event:
                return str(entry[field])
        return None

    def _lines(self) -> list[str]:
        return self.log_file.read_text(errors="replace").splitlines()

    def _last_words(self) -> str:
        for line in reversed(self._lines()):
            words = _entry(line).get("event") or line.strip("│╭╮╰╯─ ").removeprefix("leasehold: ")
            if words:
                return str(words)
        return "nothing"


def wait_for(what: str, look: Callable[[], T | None], *, within_s: float, check: Callable[[], None]) -> T:
    """What `look` finds, as soon as it finds something. Raises: DemoFailed after `within_s`; what `check` raises."""
    deadline = time.monotonic() + within_s
    while (found := look()) is None:
        check()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not come within {within_s:g} s; look for what else keeps this machine busy")
        time.sleep(LOOK_INTERVAL_S)
    return found


def _entry(line: str) -> dict[str, Any]:
    """A JSON log line's fields; none where it is something else."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _end_with_parent() -> None:
    """On Linux a child can ask for SIGTERM when its parent dies, however it dies. Runs in the child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
