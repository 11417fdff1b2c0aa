"""The role that fills the index of tasks."""

from __future__ import annotations

from itertools import islice
from time import time

from ....core.es.lines import put_line
from ..bulks import BulkRefused, bulk_request, every_item_written
from ..http1 import Connection
from .poll_orders import SeededTasks, SeedTasks, TaskSeederSetup
from .tasks import waiting_tasks

_BATCH = 1_000


class TaskSeeder:
    """Writes tasks in bulks; the last of an order is followed by a refresh."""

    def __init__(self, setup: TaskSeederSetup) -> None:
        self._setup = setup
        self._connection = Connection(setup.elasticsearch)

    def perform(self, order: SeedTasks) -> SeededTasks:
        tasks = waiting_tasks(order.documents, first=order.first, at_ms=int(time() * 1_000))
        source_bytes = 0
        while batch := list(islice(tasks, _BATCH)):
            lines = [line for id, source in batch for line in (put_line(id), source)]
            source_bytes += sum(len(source) for _, source in batch)
            answer = self._connection.exchange(bulk_request(self._setup.elasticsearch, self._setup.index, lines))
            if not every_item_written(answer):
                raise BulkRefused(f"a task was refused: {answer.body[:300].decode(errors='replace')}")
        self._connection.exchange(self._setup.elasticsearch.request("POST", f"/{self._setup.index}/_refresh"))
        return SeededTasks(order.documents, source_bytes // max(1, order.documents))
