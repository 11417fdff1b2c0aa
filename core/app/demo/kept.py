"""`--keep`: the demonstration goes on in a process of its own after the command has returned.

That process starts, keeps and stops everything, as without `--keep`. When the story is told it says so through a pipe,
lets go of the terminal, and waits until SIGTERM ends it. Until then the command passes on what ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from .run import CAPABILITIES, Ground, Outcome
from .screen import Screen

_LOOK_INTERVAL_S = 1.0


def run_detached() -> int:
    """Run the demonstration in a session of its own; the exit code, once it is told or has failed."""
    reads, writes = os.pipe()
    child = subprocess.Popen(  # noqa: S603  this very module
        [sys.executable, "-m", "leasehold.core.app.demo", "--kept", str(writes)],
        pass_fds=[writes],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writes)

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    return 0 if os.read(reads, 1) else child.wait()


def stay(screen: Screen, ground: Ground, outcome: Outcome, told: int) -> None:
    """Say how to go on, let the command return, and wait for the end. Raises: DemoFailed; KeyboardInterrupt."""
    for line in _how_to_go_on(ground, outcome):
        screen.say(line)
    screen.say(f"demo: ok, {outcome.attempts} attempts in workflow-steps")
    _let_go_of_the_terminal()
    os.write(told, b"k")
    os.close(told)
    while True:
        ground.check()
        time.sleep(_LOOK_INTERVAL_S)


def _how_to_go_on(ground: Ground, outcome: Outcome) -> list[str]:
    server = ground.server
    steps = f"{server}/_workflows/_steps"
    return [
        "",
        f"Left running; to end all of it: kill {os.getpid()}",
        f"  Elasticsearch  {ground.elasticsearch}",
        f"  replica        {server}, described at {server}/openapi.json",
        f"  worker         claims {CAPABILITIES}; logs are in {ground.folder}",
        "",
        "To go on:",
        f"  curl -s {server}/_workflows",
        f"  curl -s {server}/_workflows/_instances/{outcome.instance_ids[-1]}",
        f"  curl -s '{ground.elasticsearch}/workflow-steps/_search?q=workflow.name:log-triage&size=20'",
        _post(f"{server}/_workflows/hello/_start", '{"params": {"name": "Ada"}}'),
        f"  curl -s -X POST '{steps}/_claim?capability=greet&lease=5m&wait=10s'",
        "and with the step_id that the claim answers:",
        _post(f"{steps}/STEP_ID/_complete", '{"result": {"text": "Hello, Ada"}}'),
        "",
    ]


def _post(address: str, body: str) -> str:
    return f"  curl -s -X POST {address} -H 'Content-Type: application/json' -d '{body}'"


def _let_go_of_the_terminal() -> None:
    """Whoever reads this process's output is to see its end."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
