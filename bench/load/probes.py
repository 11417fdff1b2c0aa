"""The roles that measure floors: the least that a bare request, or a durable write, costs at the same rate."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ...core.es.lines import fence_lines, index_line, put_line
from .arrivals import Timed, due_offsets_ns
from .bulks import BulkRefused, bulk_request, every_item_written, written_items
from .documents import claimed_documents
from .http1 import Connection, ConnectionLost
from .open_loop import fire
from .orders import CommitProbeSetup, Fire, GetProbeSetup, Probe, Probes


class GetProbe:
    """Sends one GET at the times ordered."""

    def __init__(self, setup: GetProbeSetup) -> None:
        self._request = setup.server.request("GET", setup.target)
        self._connections = [Connection(setup.server) for _ in range(setup.connections)]

    def perform(self, order: Fire) -> Probes:
        return Probes(fire(_due(order), [self._sender(connection) for connection in self._connections]))

    def _sender(self, connection: Connection) -> Callable[[int, int], Probe]:
        def send(_: int, due_ns: int) -> Probe:
            try:
                answer = connection.exchange(self._request)
            except ConnectionLost:
                return Probe(Timed(due_ns, due_ns, None))
            return Probe(Timed(due_ns, answer.sent_ns, answer.arrived_ns if answer.status == 200 else None))

        return send


class CommitProbe:
    """Writes a document by CAS with a fence behind it. Each connection has a document of its own."""

    def __init__(self, setup: CommitProbeSetup) -> None:
        self._documents = [
            _Document(setup, id, source) for id, source in claimed_documents(setup.connections, seed=setup.seed)
        ]

    def perform(self, order: Fire) -> Probes:
        return Probes(fire(_due(order), [document.write for document in self._documents]))


class _Document:
    """One document with its last version, and the connection that writes it."""

    def __init__(self, setup: CommitProbeSetup, id: str, source: bytes) -> None:
        self._setup = setup
        self._id = id
        self._source = source
        self._connection = Connection(setup.elasticsearch)
        self._put(put_line(id))

    def write(self, _: int, due_ns: int) -> Probe:
        action = index_line(self._id, self._version.seq_no, self._version.primary_term)
        sent_ns, arrived_ns, took_ms = self._put(action)
        return Probe(Timed(due_ns, sent_ns, arrived_ns), took_ms)

    def _put(self, action: bytes) -> tuple[int, int, int]:
        lines = (action, self._source, *fence_lines(1, "bench"))
        answer = self._connection.exchange(bulk_request(self._setup.elasticsearch, self._setup.index, lines))
        took_ms, items = written_items(answer)
        if not every_item_written(answer):
            raise BulkRefused(f"a floor's write was refused: {answer.body[:300].decode(errors='replace')}")
        self._version = items[0]
        return answer.sent_ns, answer.arrived_ns, took_ms


def _due(order: Fire) -> list[int]:
    offsets_ns = due_offsets_ns(order.rate_per_s, order.duration_s, Random(order.seed))
    return [order.begin_ns + offset_ns for offset_ns in offsets_ns]
