"""The role that writes as fast as Elasticsearch takes conditional writes: no scheduler, bodies built beforehand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns, process_time_ns, sleep

from ...core.es.lines import index_line, put_line
from .bulks import WrittenItem, bulk_request, every_item_written, written_items
from .documents import claimed_documents
from .http1 import Answer, Connection
from .orders import Pass, Passed, Prepare, Prepared, RawWriterSetup

_SEED_BATCH = 1_000


class RawWriter:
    """Seeds its documents at the setup; each pass writes each of them once more, over the version that stands.

    What a pass sends is built before its clock starts, and answers are only checked for errors while it runs; the
    versions in them are read afterwards. One thread a connection: the sockets' calls release the interpreter's lock,
    and between them hardly anything is left to do.
    """

    def __init__(self, setup: RawWriterSetup) -> None:
        self._setup = setup
        self._documents = list(claimed_documents(setup.documents, seed=setup.seed))
        self._connections = [Connection(setup.elasticsearch)]
        self._versions: list[WrittenItem] = []
        self._shares: list[list[bytes]] = []
        for at in range(0, setup.documents, _SEED_BATCH):
            lines: list[bytes] = []
            for id, source in self._documents[at : at + _SEED_BATCH]:
                lines += (put_line(id), source)
            self._versions += written_items(self._connections[0].exchange(self._bulk(lines)))[1]

    def perform(self, order: Prepare | Pass) -> Prepared | Passed:
        return self._prepare(order) if isinstance(order, Prepare) else self._pass(order)

    def _prepare(self, order: Prepare) -> Prepared:
        requests = []
        for at in range(0, len(self._documents), order.batch):
            lines: list[bytes] = []
            versions = self._versions[at : at + order.batch]
            for (id, source), version in zip(self._documents[at : at + order.batch], versions, strict=True):
                lines += (index_line(id, version.seq_no, version.primary_term), source)
            requests.append(self._bulk(lines))
        # Every connection gets a run of neighbours, so that the answers come in the order of the documents.
        share = -(-len(requests) // order.connections)
        self._shares = [requests[at : at + share] for at in range(0, len(requests), share)]
        while len(self._connections) < order.connections:
            self._connections.append(Connection(self._setup.elasticsearch))
        source_bytes = sum(len(source) for _, source in self._documents)
        return Prepared(source_bytes // len(self._documents), sum(map(len, requests)))

    def _pass(self, order: Pass) -> Passed:
        def write(connection: Connection, requests: list[bytes]) -> list[Answer]:
            sleep(max(0, order.begin_ns - monotonic_ns()) / 1e9)
            return [connection.exchange(request) for request in requests]

        cpu_before_ns = process_time_ns()
        with ThreadPoolExecutor(len(self._shares)) as threads:
            answers = [answer for share in threads.map(write, self._connections, self._shares) for answer in share]
        cpu_ns = process_time_ns() - cpu_before_ns
        self._shares = []
        return Passed(
            documents=len(self._documents),
            began_ns=order.begin_ns,
            ended_ns=max(answer.arrived_ns for answer in answers),
            cpu_ns=cpu_ns,
            items_refused=self._learn_versions(answers),
            bulk_ns=[answer.arrived_ns - answer.sent_ns for answer in answers],
        )

    def _learn_versions(self, answers: list[Answer]) -> int:
        """Keep the versions that now stand; returns how many items were refused."""
        at = refused = 0
        for answer in answers:
            items = written_items(answer)[1]
            if every_item_written(answer):
                self._versions[at : at + len(items)] = items
            else:
                written = [item.status < 300 for item in items]
                refused += written.count(False)
                known = self._versions[at : at + len(items)]
                self._versions[at : at + len(items)] = [
                    item if good else old for item, good, old in zip(items, written, known, strict=True)
                ]
            at += len(items)
        return refused

    def _bulk(self, lines: list[bytes]) -> bytes:
        return bulk_request(self._setup.elasticsearch, self._setup.index, lines)
