"""Parent of one server, so that the server ends when the one who wanted it ends. Run as a script; imports nothing of
ours.

Standard input: one line of JSON, the order; then nothing until it closes, which means: end the server's process group,
remove the private folder, leave. It closes when the starting process closes it or dies. Standard output: one line of
JSON with the server's `pid` or an `error`, and one with `exited` when the server has ended by itself. The folder
stays until standard input closes, so that its logs can still be read.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_INTERVAL_S = 1.0
_END_INTERVAL_S = 0.05


def main() -> None:
    """Carry out one order."""
    parent = os.getppid()
    order = json.loads(_first_line())
    wakes = _wake_on_signals()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _raise_file_limit()
    try:
        server = _start(order)
    except (OSError, subprocess.SubprocessError) as error:
        _say({"error": str(error)})
    else:
        _say({"pid": server.pid})
        _watch(server, parent, wakes)
        _end_group(server, order["grace_s"])
        _say({"exited": server.returncode})
    while _wanted(parent):
        _sleep(wakes)
    shutil.rmtree(order["remove"], ignore_errors=True)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 65_536)
        if not read:
            sys.exit("the order never came")
        line += read
    return line


def _wake_on_signals() -> int:
    """A descriptor that becomes readable with each signal; a request to end makes standard input look closed."""
    wakes, writes = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.dup2(os.open(os.devnull, os.O_RDONLY), 0))
    return wakes


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    account = order["account"]
    switch: dict[str, Any] = {} if account is None else {"user": account[0], "group": account[1], "extra_groups": []}
    with open(order["console"], "ab") as console:
        return subprocess.Popen(  # noqa: S603 (the order comes from our own parent alone)
            order["command"],
            env=order["environment"],
            cwd=order["folder"],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            # Runs after the change of user, which would clear it; this process has one thread.
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
            **switch,
        )


def _watch(server: subprocess.Popen[bytes], parent: int, wakes: int) -> None:
    """Return when the server has ended or is no longer wanted."""
    while server.poll() is None and _wanted(parent):
        _sleep(wakes)


def _sleep(wakes: int) -> None:
    """Until a signal comes, standard input closes, or it is time to look at the parent."""
    select.select([0, wakes], [], [], _LOOK_INTERVAL_S)
    with contextlib.suppress(BlockingIOError):
        os.read(wakes, 4_096)


def _wanted(parent: int) -> bool:
    """Whether the starting process lives and holds its end of the pipe. (A fork of it could hold that end too long.)"""
    if os.getppid() != parent:
        return False
    readable, _, _ = select.select([0], [], [], 0)
    return not readable or bool(os.read(0, 4_096))


def _end_group(server: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the whole group to end, then make it. Returns when no process of it is left."""
    deadline = time.monotonic() + grace_s
    _signal_group(server.pid, signal.SIGTERM)
    _signal_group(server.pid, signal.SIGCONT)
    while _group_lives(server) and time.monotonic() < deadline:
        time.sleep(_END_INTERVAL_S)
    deadline += grace_s
    while _group_lives(server) and time.monotonic() < deadline:
        _signal_group(server.pid, signal.SIGKILL)
        time.sleep(_END_INTERVAL_S)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _group_lives(server: subprocess.Popen[bytes]) -> bool:
    """Whether a process of the group is left. Reaps those that fell to us when their parent ended."""
    server.poll()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(server.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _raise_file_limit() -> None:
    """As many open files as this account may have; the server asks for 65535."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls the hard limit infinite and then refuses it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _say(words: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    main()
