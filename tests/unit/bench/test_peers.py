"""The re-creation of Kibana's claimer: who looks where, what is searched for, what a task looks like."""

from __future__ import annotations

import json
from collections import Counter
from time import monotonic_ns

import msgspec
import pytest
from leasehold.bench.load import Address, ConnectionLost
from leasehold.bench.load.peers import Poll, Poller, PollerSetup
from leasehold.bench.load.peers.claimers import mget_cycle, search_cycle
from leasehold.bench.load.peers.partitions import OWNERS_A_PARTITION, PARTITIONS, partition_of, partitions_of
from leasehold.bench.load.peers.task_table import FoundTask, TaskTable, TaskVersion, UpdatedTask, due_body
from leasehold.bench.load.peers.tasks import INDEX_MAPPING, number_of, waiting_tasks

ELASTICSEARCH = Address("http://127.0.0.1:1")


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_every_partition_has_two_owners_and_every_node_its_share(count: int) -> None:
    nodes = [f"node-{number}" for number in range(count)]
    owners = Counter(partition for node in nodes for partition in partitions_of(node, nodes))
    assert owners == dict.fromkeys(range(PARTITIONS), OWNERS_A_PARTITION)
    shares = [len(partitions_of(node, nodes)) for node in nodes]
    assert max(shares) - min(shares) <= 1


def test_a_lone_node_looks_through_every_partition() -> None:
    assert partitions_of("a", ["a"]) == list(range(PARTITIONS))


def test_of_four_nodes_two_and_two_share_a_half() -> None:
    nodes = ["a", "b", "c", "d"]
    assert partitions_of("a", nodes) == partitions_of("b", nodes) != partitions_of("c", nodes)
    assert partitions_of("c", nodes) == partitions_of("d", nodes)


def test_tasks_are_due_in_their_order_and_spread_over_the_partitions() -> None:
    tasks = [(id, json.loads(source)) for id, source in waiting_tasks(2_000, first=7, at_ms=1_800_000_000_000)]
    assert [number_of(id) for id, _ in tasks] == list(range(7, 2_007))
    due = [document["task"]["runAt"] for _, document in tasks]
    assert due == sorted(set(due))
    assert due[0].endswith("Z")
    assert all(document["task"]["partition"] == partition_of(id) for id, document in tasks)
    assert len({document["task"]["partition"] for _, document in tasks}) == PARTITIONS
    indexed = INDEX_MAPPING["properties"]["task"]["properties"].keys()
    assert {"runAt", "retryAt", "status", "enabled", "partition", "taskType"} <= indexed


def test_only_slim_documents_of_the_nodes_partitions_are_searched() -> None:
    body = due_body(80, [1, 5])
    assert body["size"] == 80
    assert body["_source"] == {"excludes": ["task.state", "task.params"]}
    assert b'"task.partition":[1,5]' in msgspec.json.encode(body)
    assert b"task.partition" not in msgspec.json.encode(due_body(80, []))


class Table(TaskTable):
    """A table in memory: `stored` versions stand now, `seen` are those of the last refresh, `lost` go to others."""

    def __init__(self, *, seen: dict[str, int], stored: dict[str, int], lost: frozenset[str] = frozenset()) -> None:
        self.seen, self.stored, self.lost = seen, stored, lost
        self.sizes: list[int] = []

    def due(self, size: int, partitions: object = ()) -> list[FoundTask]:
        self.sizes.append(size)
        found = [
            {"_id": id, "_seq_no": seq_no, "_primary_term": 1, "_source": {"task": {"runAt": "", "attempts": 0}}}
            for id, seq_no in self.seen.items()
        ]
        return msgspec.convert(found[:size], list[FoundTask])

    def versions(self, ids: object) -> list[TaskVersion]:
        return [TaskVersion(id, self.stored[id], 1) for id in self.seen]

    def claim(self, tasks: object) -> list[UpdatedTask]:
        assert isinstance(tasks, list)
        answers = []
        for task in tasks:
            won = task.id not in self.lost and task.seq_no == self.stored[task.id]
            if won:
                self.stored[task.id] += 100
            answers.append(UpdatedTask(task.id, 200 if won else 409, self.stored[task.id], 1))
        return answers

    def whole(self, ids: object) -> list[TaskVersion]:
        assert isinstance(ids, list)
        return [TaskVersion(id, self.stored[id], 1) for id in ids]

    def refresh(self) -> None:
        self.seen = dict(self.stored)


def test_a_cycle_searches_eight_documents_for_each_normal_task_and_claims_no_more_than_its_capacity() -> None:
    table = Table(seen=dict.fromkeys("abcdefghijkl", 1), stored=dict.fromkeys("abcdefghijkl", 1))
    claimed = mget_cycle(table, 10, [])
    assert table.sizes == [80]
    assert claimed.ids == list("abcdefghij")


def test_what_has_moved_on_since_the_refresh_is_dropped_and_what_another_took_is_a_conflict() -> None:
    table = Table(seen={"a": 1, "b": 1, "c": 1}, stored={"a": 2, "b": 1, "c": 1}, lost=frozenset("c"))
    claimed = mget_cycle(table, 10, [])
    assert (claimed.ids, claimed.stale, claimed.conflicts) == (["b"], 1, 1)


def test_the_claimer_that_searches_first_loses_what_others_were_faster_at() -> None:
    table = Table(seen={}, stored={"a": 2, "b": 1}, lost=frozenset("a"))
    claimed = search_cycle(table, 10)
    assert (claimed.ids, claimed.conflicts) == (["b"], 1)


def test_a_server_that_is_not_there_is_no_empty_table() -> None:
    with pytest.raises(ConnectionLost):
        TaskTable(ELASTICSEARCH, "tasks", "a").due(10)


def test_a_poller_that_is_late_still_ends_in_time_and_counts_every_cycle() -> None:
    table = Table(seen={"task:bench-7": 1}, stored={"task:bench-7": 1})
    begin_ns = monotonic_ns()
    poller = Poller(PollerSetup(ELASTICSEARCH, "tasks", "a"), table)
    polled = poller.perform(Poll("mget", begin_ns, 0.005, 10, 0, ["a"], "1"))
    assert polled.numbers == [7]
    assert [cycle.claimed for cycle in polled.cycles] == [1] + [0] * (len(polled.cycles) - 1)
    assert all(cycle.began_ns < begin_ns + 5_000_000 for cycle in polled.cycles)
