"""The role that claims and completes, and looks how soon rows of what it completed stand in history.

A look asks for all that is not there yet: by id in the concrete index that rows go to (realtime, so a row is found as
soon as its write is acknowledged), and by a search for ids (as of the last refresh).
"""

from __future__ import annotations

from threading import Event, Thread
from time import monotonic

import msgspec
from msgspec import Struct

from ....core.ids import parse_step_id
from ..claimer import Claimer
from ..http1 import Answer, Connection, ConnectionLost
from ..orders import Claims, Finish
from .orders import Confirmed, ConfirmerSetup, FinishConfirming, Row

_OK = 200


class _Document(Struct, rename={"id": "_id"}):
    id: str
    found: bool = False


class _Documents(Struct):
    docs: list[_Document]


class _Hit(Struct, rename={"id": "_id"}):
    id: str


class _Hits(Struct):
    hits: list[_Hit]


class _Found(Struct):
    hits: _Hits


_documents = msgspec.json.Decoder(_Documents)
_found = msgspec.json.Decoder(_Found)


class Confirmer:
    """A claimer, and beside it one thread that looks."""

    def __init__(self, setup: ConfirmerSetup) -> None:
        self._setup = setup
        self._claimer = Claimer(setup.claimer)
        self._connection = Connection(setup.elasticsearch)
        self._seen = 0
        self._completed: dict[str, int] = {}
        self._readable: dict[str, int] = {}
        self._searchable: dict[str, int] = {}
        self._unanswered = 0
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def perform(self, order: FinishConfirming) -> Confirmed:
        claims: Claims = self._claimer.perform(Finish())
        until_s = monotonic() + order.within_s
        while monotonic() < until_s and (self._seen < len(claims.claims) or self._missing(self._searchable)):
            self._over.wait(self._setup.poll_ms / 1_000)
        self._over.set()
        self._thread.join()
        rows = [
            Row(completed_ns, self._readable.get(id, 0), self._searchable.get(id, 0))
            for id, completed_ns in self._completed.items()
        ]
        return Confirmed(claims.claims, claims.failures, rows, self._unanswered)

    def _run(self) -> None:
        while not self._over.wait(self._setup.poll_ms / 1_000):
            self._hear()
            self._read_by_id(self._missing(self._readable))
            # A row that can't be read by id is in no search either.
            self._search([id for id in self._missing(self._searchable) if id in self._readable])
        self._connection.close()

    def _hear(self) -> None:
        """Take over what the claimer has completed since the last look."""
        claims = self._claimer.claims
        upto = len(claims)
        for place in range(self._seen, upto):
            name = parse_step_id(claims[place].step_id)
            if place % self._setup.every == 0 and claims[place].completion == _OK and name is not None:
                self._completed[name.instance_id] = claims[place].completed_ns
        self._seen = upto

    def _missing(self, found: dict[str, int]) -> list[str]:
        return [id for id in list(self._completed) if id not in found]

    def _read_by_id(self, ids: list[str]) -> None:
        answer = self._ask(f"/{self._setup.index}/_mget?_source=false", {"ids": ids}) if ids else None
        if answer is not None:
            there = [document.id for document in _documents.decode(answer.body).docs if document.found]
            self._readable |= dict.fromkeys(there, answer.arrived_ns)

    def _search(self, ids: list[str]) -> None:
        body = {"query": {"ids": {"values": ids}}, "size": len(ids), "_source": False, "track_total_hits": False}
        answer = self._ask(f"/{self._setup.index}/_search", body) if ids else None
        if answer is not None:
            there = [hit.id for hit in _found.decode(answer.body).hits.hits]
            self._searchable |= dict.fromkeys(there, answer.arrived_ns)

    def _ask(self, target: str, body: object) -> Answer | None:
        request = self._setup.elasticsearch.request("POST", target, msgspec.json.encode(body))
        try:
            answer = self._connection.exchange(request)
        except ConnectionLost:
            answer = None
        if answer is None or answer.status != _OK:
            self._unanswered += 1
            return None
        return answer
