"""A load process from within: setup, then orders, one JSON line each, on standard input; answers on standard output.

It ends when its input ends, so it never outlives the benchmark, however that ended.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

import msgspec

from .closed.orders import (
    BatchStarterSetup,
    CompleteAll,
    Execute,
    ExecutorSetup,
    PacedSetup,
    StartMany,
    WorkUntil,
)
from .history.orders import ConfirmerSetup, FinishConfirming, RowSeederSetup, SearcherSetup, SeedRows, Walk
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
    SeedTenants,
    StarterSetup,
)
from .peers import Poll, PollerSetup, SeedTasks, TaskSeederSetup
from .watch import WatcherSetup

# Each with the module and the name of its class, the type of its setup and that of its orders. A process imports only
# what it plays: roles that make documents bring half of the engine along, a second's work.
ROLES: dict[str, tuple[str, str, Any, Any]] = {
    "starter": (".starter", "Starter", StarterSetup, Fire),
    "claimer": (".claimer", "Claimer", ClaimerSetup, Finish),
    "get-probe": (".probes", "GetProbe", GetProbeSetup, Fire),
    "commit-probe": (".probes", "CommitProbe", CommitProbeSetup, Fire),
    "raw-writer": (".raw_writer", "RawWriter", RawWriterSetup, Prepare | Pass),
    "batch-starter": (".closed.starter", "BatchStarter", BatchStarterSetup, StartMany),
    "executor": (".closed.executor", "Executor", ExecutorSetup, Execute | CompleteAll),
    "paced-executor": (".closed.paced", "PacedExecutor", PacedSetup, WorkUntil),
    "seeder": (".seeder", "Seeder", SeederSetup, Seed | SeedSleepers | SeedTenants),
    "counting-proxy": (".proxy", "CountingProxy", CountingProxySetup, CountRequests),
    "task-seeder": (".peers.task_seeder", "TaskSeeder", TaskSeederSetup, SeedTasks),
    "poller": (".peers.claimers", "Poller", PollerSetup, Poll),
    "row-seeder": (".history.row_seeder", "RowSeeder", RowSeederSetup, SeedRows),
    "searcher": (".history.searcher", "Searcher", SearcherSetup, Walk),
    "confirmer": (".history.confirmer", "Confirmer", ConfirmerSetup, FinishConfirming),
    "watcher": (".watch.watcher", "Watcher", WatcherSetup, Finish),
}


def role_class(name: str) -> Callable[[Any], Any]:
    """The class that plays a role."""
    module, attribute, _, _ = ROLES[name]
    found: Callable[[Any], Any] = getattr(import_module(module, __package__), attribute)
    return found


def main(name: str) -> None:
    """Play a role until the orders end. What the role itself prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _, _, setup_type, order_type = ROLES[name]
    orders = sys.stdin.buffer
    performer = role_class(name)(msgspec.json.decode(orders.readline(), type=setup_type))
    # Nothing made so far is garbage: a collection while load is sent has less to look at.
    gc.freeze()
    _answer(answers, Ready(name))
    decoder = msgspec.json.Decoder(order_type)
    for line in orders:
        _answer(answers, performer.perform(decoder.decode(line)))


def _answer(answers: BinaryIO, answer: msgspec.Struct) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()
