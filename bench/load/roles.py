"""A load process from within: setup, then orders, one JSON line each, on standard input; answers on standard output.

It ends when its input ends, so it never outlives the benchmark, however that ended.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec

from .claimer import Claimer
from .closed.executor import Executor
from .closed.orders import BatchStarterSetup, CompleteAll, Execute, ExecutorSetup, StartMany
from .closed.starter import BatchStarter
from .orders import (
    ClaimerSetup,
    CommitProbeSetup,
    CountingProxySetup,
    CountRequests,
    Finish,
    Fire,
    GetProbeSetup,
    Pass,
    Prepare,
    RawWriterSetup,
    Ready,
    Seed,
    SeederSetup,
    SeedSleepers,
    StarterSetup,
)
from .peers import Poll, Poller, PollerSetup, SeedTasks, TaskSeeder, TaskSeederSetup
from .probes import CommitProbe, GetProbe
from .proxy import CountingProxy
from .raw_writer import RawWriter
from .seeder import Seeder
from .starter import Starter
from .watch import Watcher, WatcherSetup

# Each with the type of its setup and of its orders.
ROLES: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "starter": (Starter, StarterSetup, Fire),
    "claimer": (Claimer, ClaimerSetup, Finish),
    "get-probe": (GetProbe, GetProbeSetup, Fire),
    "commit-probe": (CommitProbe, CommitProbeSetup, Fire),
    "raw-writer": (RawWriter, RawWriterSetup, Prepare | Pass),
    "batch-starter": (BatchStarter, BatchStarterSetup, StartMany),
    "executor": (Executor, ExecutorSetup, Execute | CompleteAll),
    "seeder": (Seeder, SeederSetup, Seed | SeedSleepers),
    "counting-proxy": (CountingProxy, CountingProxySetup, CountRequests),
    "task-seeder": (TaskSeeder, TaskSeederSetup, SeedTasks),
    "poller": (Poller, PollerSetup, Poll),
    "watcher": (Watcher, WatcherSetup, Finish),
}


def main(name: str) -> None:
    """Play a role until the orders end. What the role itself prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    role, setup_type, order_type = ROLES[name]
    orders = sys.stdin.buffer
    performer = role(msgspec.json.decode(orders.readline(), type=setup_type))
    # Nothing made so far is garbage: a collection while load is sent has less to look at.
    gc.freeze()
    _answer(answers, Ready(name))
    decoder = msgspec.json.Decoder(order_type)
    for line in orders:
        _answer(answers, performer.perform(decoder.decode(line)))


def _answer(answers: BinaryIO, answer: msgspec.Struct) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()
