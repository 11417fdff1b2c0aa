"""The role that fills history with rows of finished instances, past the scheduler."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from time import monotonic_ns

from ....core.es.lines import create_line_in
from ..bulks import BulkRefused, bulk_request, every_item_written
from ..http1 import Connection
from .orders import RowSeederSetup, SeededRows, SeedRows
from .rows import RARE_WORD, Finished, finished_rows

_BATCH = 1_000


class RowSeeder:
    """Writes as fast as it can make rows; each connection has one bulk in flight."""

    def __init__(self, setup: RowSeederSetup) -> None:
        self._setup = setup
        self._connections = [Connection(setup.elasticsearch) for _ in range(setup.connections)]

    def perform(self, order: SeedRows) -> SeededRows:
        began_ns, bytes_sent, by = monotonic_ns(), 0, Counter[str]()
        rows = finished_rows(
            order.instances, first=order.first, from_ms=order.from_ms, to_ms=order.to_ms, seed=order.seed
        )
        with ThreadPoolExecutor(len(self._connections)) as threads:
            while batch := list(islice(rows, _BATCH * len(self._connections))):
                requests = [self._request(order, batch[at : at + _BATCH]) for at in range(0, len(batch), _BATCH)]
                bytes_sent += sum(map(len, requests))
                list(threads.map(self._send, self._connections, requests))
                by.update(name for finished in batch for name in _counted(finished))
        return SeededRows(2 * order.instances, bytes_sent, monotonic_ns() - began_ns, dict(by))

    def _request(self, order: SeedRows, batch: list[Finished]) -> bytes:
        lines: list[bytes] = []
        for one in batch:
            lines += (create_line_in(order.instances_index, one.id), one.row)
            lines += (create_line_in(order.steps_index, one.step_id), one.step_row)
        return bulk_request(self._setup.elasticsearch, order.instances_index, lines)

    def _send(self, connection: Connection, request: bytes) -> None:
        answer = connection.exchange(request)
        if not every_item_written(answer):
            raise BulkRefused(f"rows were refused: {answer.status} {answer.body[:300].decode(errors='replace')}")


def _counted(finished: Finished) -> tuple[str, ...]:
    """What its row counts for: `<what>=<which>` for each trait, and the rare word."""
    traits = finished.traits
    named = (
        f"workflow={traits.workflow}",
        f"tenant={traits.tenant}",
        f"status={traits.status}",
        f"label=team={traits.team}",
    )
    return (*named, f"text={RARE_WORD}") if finished.rare else named
