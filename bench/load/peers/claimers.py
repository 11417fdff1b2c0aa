"""The role that claims tasks without owning them, over one connection, with a cycle of one kind or the other."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from time import monotonic_ns, process_time_ns, sleep

from msgspec import Struct

from .partitions import partitions_of
from .poll_orders import Cycle, Poll, Polled, PollerSetup
from .task_table import FoundTask, TaskTable, TaskVersion
from .tasks import number_of

# A normal task costs two units of capacity, a tiny one one; a search has room for the free capacity in tiny tasks,
# times four.
_UNITS_A_TASK = 2
_CANDIDATES_A_UNIT = 4


class Claims(Struct):
    """What one cycle claimed, and what it lost. `stale` tasks had moved on since the refresh that the search saw."""

    ids: list[str]
    conflicts: int = 0
    stale: int = 0


class Poller:
    """One node. Cycles never overlap; the next begins `interval_ms` after the last one *began*."""

    def __init__(self, setup: PollerSetup, table: TaskTable | None = None) -> None:
        self._node = setup.node
        self._table = table if table is not None else TaskTable(setup.elasticsearch, setup.index, setup.node)

    def perform(self, order: Poll) -> Polled:
        """Poll until the time is over. Whole cycles only: the last one may end after it."""
        partitions = partitions_of(self._node, order.nodes)
        # Nodes start when they start: spread over one interval.
        offset_ns = int(Random(f"{order.seed}-{self._node}").random() * order.interval_ms * 1e6)
        end_ns = order.begin_ns + int(order.duration_s * 1e9)
        due_ns = order.begin_ns + offset_ns
        cycles: list[Cycle] = []
        numbers: list[int] = []
        cpu_before_ns = process_time_ns()
        while True:
            sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            began_ns = monotonic_ns()
            if began_ns >= end_ns:
                break
            if order.kind == "mget":
                claimed = mget_cycle(self._table, order.capacity, partitions)
            else:
                claimed = search_cycle(self._table, order.capacity)
            numbers += map(number_of, claimed.ids)
            cycles.append(Cycle(began_ns, monotonic_ns(), len(claimed.ids), claimed.conflicts, claimed.stale))
            due_ns = began_ns + order.interval_ms * 1_000_000
        return Polled(cycles, numbers, process_time_ns() - cpu_before_ns)


def mget_cycle(table: TaskTable, capacity: int, partitions: Sequence[int]) -> Claims:
    """Kibana's cycle: search slim documents, drop the stale ones, update by version, read the whole documents.

    Capacity is always free: the work of what was claimed takes no time.
    """
    found = table.due(capacity * _UNITS_A_TASK * _CANDIDATES_A_UNIT, partitions)
    if not found:
        return Claims([])
    now = {version.id: version for version in table.versions([task.id for task in found])}
    current = [task for task in found if _same(task, now[task.id])]
    stale = len(found) - len(current)
    if not current:
        return Claims([], stale=stale)
    updated = table.claim(current[:capacity])
    won = {task.id: task for task in updated if task.status == 200}
    whole = table.whole(list(won)) if won else []
    ours = [task.id for task in whole if won[task.id].seq_no == task.seq_no]
    return Claims(ours, conflicts=len(updated) - len(ours), stale=stale)


def search_cycle(table: TaskTable, capacity: int) -> Claims:
    """Search for what is due and update what was found, everyone from the same front of the queue.

    The index is refreshed before each search, or a claimer would find what it has just claimed.
    """
    table.refresh()
    found = table.due(capacity)
    if not found:
        return Claims([])
    updated = table.claim(found)
    won = [task.id for task in updated if task.status == 200]
    return Claims(won, conflicts=len(updated) - len(won))


def _same(task: FoundTask, version: TaskVersion) -> bool:
    return (task.seq_no, task.primary_term) == (version.seq_no, version.primary_term)
