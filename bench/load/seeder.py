"""The role that fills lanes with waiting or sleeping instances, past the scheduler, while no replica runs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from time import monotonic_ns

from ...core.es.lines import put_line
from .bulks import BulkRefused, bulk_request, every_item_written
from .http1 import Connection
from .orders import Seed, Seeded, SeederSetup, SeedSleepers, SeedTenants
from .seeds import tenants_documents, waiting_documents
from .sleepers import sleeping_documents

_BATCH = 1_000


class Seeder:
    """Writes as fast as it can make documents; each connection has one bulk in flight."""

    def __init__(self, setup: SeederSetup) -> None:
        self._setup = setup
        self._connections = [Connection(setup.elasticsearch) for _ in range(setup.connections)]

    def perform(self, order: Seed | SeedSleepers | SeedTenants) -> Seeded:
        began_ns = monotonic_ns()
        source_bytes = self._write(order.index, _documents(order))
        return Seeded(order.documents, source_bytes, monotonic_ns() - began_ns)

    def _write(self, index: str, documents: Iterator[tuple[str, bytes]]) -> int:
        """How many bytes that were."""
        source_bytes = 0
        with ThreadPoolExecutor(len(self._connections)) as threads:
            # As many bulks as there are connections are made, then sent while nothing else is kept in memory.
            while requests := list(islice(self._requests(index, documents), len(self._connections))):
                source_bytes += sum(map(len, requests))
                list(threads.map(self._send, self._connections, requests))
        return source_bytes

    def _requests(self, index: str, documents: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
        while batch := list(islice(documents, _BATCH)):
            lines = [line for id, source in batch for line in (put_line(id), source)]
            yield bulk_request(self._setup.elasticsearch, index, lines)

    def _send(self, connection: Connection, request: bytes) -> None:
        answer = connection.exchange(request)
        if not every_item_written(answer):
            raise BulkRefused(f"a seed was refused: {answer.status} {answer.body[:300].decode(errors='replace')}")


def _documents(order: Seed | SeedSleepers | SeedTenants) -> Iterator[tuple[str, bytes]]:
    if isinstance(order, SeedSleepers):
        return sleeping_documents(
            order.documents,
            lane=order.lane,
            first=order.first,
            due_from_ms=order.due_from_ms,
            due_to_ms=order.due_to_ms,
        )
    if isinstance(order, SeedTenants):
        return tenants_documents(
            order.backlogs,
            lane=order.lane,
            workflow=order.workflow,
            capability=order.capability,
            ready_ms=order.ready_ms,
        )
    return waiting_documents(
        order.documents,
        lane=order.lane,
        workflow=order.workflow,
        capability=order.capability,
        first=order.first,
        tenants=order.tenants,
        seed=order.first,
    )
