"""The role that claims steps and completes them, as an executor without any work would."""

from __future__ import annotations

from threading import Event, Thread
from time import monotonic_ns, sleep
from typing import Any

import msgspec
from msgspec import Struct

from .http1 import Answer, Connection, ConnectionLost
from .orders import Claim, ClaimerSetup, Claims, Finish
from .principal import headers_of

_PAUSE_AFTER_FAILURE_S = 0.05
_COMPLETION = b'{"result":{"ok":true}}'


class _ClaimedStep(Struct):
    """What is read of a claim's answer."""

    step_id: str
    payload: dict[str, Any]


_claimed_step = msgspec.json.Decoder(_ClaimedStep)


class Claimer:
    """Long polls on every connection from the setup on, so that a worker always waits while load is sent."""

    def __init__(self, setup: ClaimerSetup) -> None:
        self._setup = setup
        self._headers = headers_of(setup.tenant)
        self._claim = setup.scheduler.request(
            "POST",
            f"/_workflows/_steps/_claim?capability={setup.capability}&lease={setup.lease_ms}ms&wait={setup.wait_ms}ms",
            headers=self._headers,
        )
        self._finishing = Event()
        self._at_once = False
        self._claims: list[Claim] = []
        self._failures = 0
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(setup.connections)]
        for thread in self._threads:
            thread.start()

    @property
    def claims(self) -> list[Claim]:
        """What was claimed and reported up to now; it grows at its end."""
        return self._claims

    def perform(self, order: Finish) -> Claims:
        self._at_once = order.at_once
        self._finishing.set()
        for thread in self._threads:
            thread.join()
        return Claims(self._claims, self._failures)

    def _run(self) -> None:
        connection = Connection(self._setup.scheduler)
        while True:
            asked_ns = monotonic_ns()
            answer = self._ask(connection)
            if answer is not None and answer.status == 200:
                self._complete(connection, asked_ns, answer)
                if not (self._finishing.is_set() and self._at_once):
                    continue
            elif answer is None or answer.status != 204:
                self._failures += 1
                sleep(_PAUSE_AFTER_FAILURE_S)
            if self._finishing.is_set():
                connection.close()
                return

    def _ask(self, connection: Connection) -> Answer | None:
        try:
            return connection.exchange(self._claim)
        except ConnectionLost:
            return None

    def _complete(self, connection: Connection, asked_ns: int, answer: Answer) -> None:
        step = _claimed_step.decode(answer.body)
        target = f"/_workflows/_steps/{step.step_id}/_complete"
        request = self._setup.scheduler.request("POST", target, _COMPLETION, headers=self._headers)
        try:
            completion = connection.exchange(request).status
        except ConnectionLost:
            completion = 0
        self._claims.append(
            Claim(int(step.payload["n"]), step.step_id, asked_ns, answer.arrived_ns, monotonic_ns(), completion)
        )
