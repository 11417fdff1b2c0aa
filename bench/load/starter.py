"""The role that starts instances, open loop."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from .arrivals import Timed, due_offsets_ns
from .http1 import Connection, ConnectionLost
from .open_loop import fire
from .orders import Fire, Start, StarterSetup, Starts
from .principal import headers_of

CREATED = 201


class Starter:
    """Sends `_start` requests and notes when each was due, sent and acknowledged."""

    def __init__(self, setup: StarterSetup) -> None:
        self._setup = setup
        self._target = f"/_workflows/{setup.workflow}/_start"
        self._connections = [Connection(setup.scheduler) for _ in range(setup.connections)]

    def perform(self, order: Fire) -> Starts:
        due_ns = [
            order.begin_ns + offset_ns
            for offset_ns in due_offsets_ns(order.rate_per_s, order.duration_s, Random(order.seed))
        ]
        return Starts(fire(due_ns, [self._sender(connection, order.first) for connection in self._connections]))

    def _sender(self, connection: Connection, first: int) -> Callable[[int, int], Start]:
        address, headers = self._setup.scheduler, headers_of(self._setup.tenant)

        def send(index: int, due_ns: int) -> Start:
            number = first + index
            body = msgspec.json.encode({"params": {"n": number}})
            try:
                answer = connection.exchange(address.request("POST", self._target, body, headers=headers))
            except ConnectionLost:
                return Start(number, Timed(due_ns, due_ns, None), 0)
            done_ns = answer.arrived_ns if answer.status == CREATED else None
            return Start(number, Timed(due_ns, answer.sent_ns, done_ns), answer.status)

        return send
