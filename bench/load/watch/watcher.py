"""The role of executors that outlast replicas: a completion is sent again until it is acknowledged or refused."""

from __future__ import annotations

from threading import Event, Thread
from time import monotonic, monotonic_ns
from typing import Any

import msgspec
from msgspec import Struct

from ..http1 import Answer, Connection, ConnectionLost
from ..orders import Finish
from .orders import Observed, Sighting, WatcherSetup

_OK = 200
_NOTHING = 204
_UNAVAILABLE = 503
_PAUSE_S = 0.02
# For how long a completion is tried once more when the load is told to finish.
_LAST_TRIES_S = 5.0
_COMPLETION = b'{"result":{"ok":true}}'


class _Step(Struct):
    step_id: str
    payload: dict[str, Any]


_step = msgspec.json.Decoder(_Step)


class Watcher:
    """One thread a connection, all to one replica's address."""

    def __init__(self, setup: WatcherSetup) -> None:
        self._setup = setup
        self._finishing = Event()
        self._give_up_s = 0.0
        self._sightings: list[Sighting] = []
        self._unanswered = 0
        self._repeated = 0
        self._threads = [
            Thread(target=self._run, args=(place, capability), daemon=True)
            for place, capability in enumerate(setup.capabilities)
            for _ in range(setup.connections)
        ]
        for thread in self._threads:
            thread.start()

    def perform(self, order: Finish) -> Observed:
        self._give_up_s = monotonic() + _LAST_TRIES_S
        self._finishing.set()
        for thread in self._threads:
            thread.join()
        return Observed(self._sightings, self._unanswered, self._repeated)

    def _run(self, place: int, capability: str) -> None:
        setup = self._setup
        target = f"?capability={capability}&lease={setup.lease_ms}ms&wait={setup.wait_ms}ms"
        claim = setup.scheduler.request("POST", f"/_workflows/_steps/_claim{target}")
        connection = Connection(setup.scheduler)
        while not self._finishing.is_set():
            answer = _exchange(connection, claim)
            if answer is not None and answer.status == _OK:
                self._complete(connection, place, answer)
                self._finishing.wait(setup.pause_ms / 1_000)
            elif answer is None or answer.status != _NOTHING:
                self._unanswered += 1
                self._finishing.wait(_PAUSE_S)
        connection.close()

    def _complete(self, connection: Connection, place: int, claimed: Answer) -> None:
        step = _step.decode(claimed.body)
        target = f"/_workflows/_steps/{step.step_id}/_complete"
        request = self._setup.scheduler.request("POST", target, _COMPLETION)
        while True:
            answer = _exchange(connection, request)
            if answer is not None and answer.status != _UNAVAILABLE:
                break
            self._repeated += 1
            if self._finishing.is_set() and monotonic() > self._give_up_s:
                break
            self._finishing.wait(_PAUSE_S)
        status = 0 if answer is None else answer.status
        number = int(step.payload["n"])
        self._sightings.append(Sighting(number, place, claimed.arrived_ns, monotonic_ns(), status))


def _exchange(connection: Connection, request: bytes) -> Answer | None:
    try:
        return connection.exchange(request)
    except ConnectionLost:
        return None
