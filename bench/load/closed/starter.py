"""The role that starts as many instances as the scheduler takes."""

from __future__ import annotations

from collections import Counter
from time import monotonic, monotonic_ns, process_time_ns

import msgspec
from msgspec import Struct

from ..http1 import ConnectionLost
from .conversations import Conversation, converse
from .orders import BatchStarterSetup, Started, StartMany

_CREATED = 201
_OK = 200
_NOT_NOW = frozenset({429, 503})
_PAUSE_S = 0.1


class _Result(Struct):
    code: int


class _Results(Struct):
    results: list[_Result]


_results = msgspec.json.Decoder(_Results)


class BatchStarter:
    """Sends bulk starts, or single ones, over all its connections until all numbers are started."""

    def __init__(self, setup: BatchStarterSetup) -> None:
        self._setup = setup
        self._address = setup.scheduler

    def perform(self, order: StartMany) -> Started:
        run = _Starting(self._setup, order)
        cpu_ns, began_ns = process_time_ns(), monotonic_ns()
        conversations = [run.conversation() for _ in range(self._setup.connections)]
        converse(self._address, conversations, until_s=monotonic() + order.within_s)
        return Started(
            began_ns,
            monotonic_ns(),
            process_time_ns() - cpu_ns,
            run.acknowledged,
            dict(run.refused),
            run.lost,
            run.request_ns,
        )


class _Starting:
    """One order under way: the requests not sent yet, and what came of those that were."""

    def __init__(self, setup: BatchStarterSetup, order: StartMany) -> None:
        self._setup = setup
        self._numbers = range(order.first, order.first + order.count)
        self._at = 0
        self._again: list[range] = []
        self.acknowledged = 0
        self.refused: Counter[int] = Counter()
        self.lost = 0
        self.request_ns: list[int] = []

    def conversation(self) -> Conversation:
        while numbers := self._next():
            try:
                answer = yield self._request(numbers)
            except ConnectionLost:
                self.lost += len(numbers)
                continue
            self.request_ns.append(answer.arrived_ns - answer.sent_ns)
            codes = self._codes(answer.status, answer.body, len(numbers))
            self.acknowledged += codes[_CREATED]
            for code in codes.keys() - {_CREATED}:
                self.refused[code] += codes[code]
            if answer.status in _NOT_NOW:
                self._again.append(numbers)
                yield _PAUSE_S

    def _next(self) -> range:
        if self._again:
            return self._again.pop()
        numbers = self._numbers[self._at : self._at + self._setup.batch]
        self._at += len(numbers)
        return numbers

    def _request(self, numbers: range) -> bytes:
        setup = self._setup
        if setup.batch == 1:
            target, body = f"/_workflows/{setup.workflow}/_start", b'{"params":{"n":%d}}' % numbers[0]
        else:
            item = b'{"workflow":"%b","params":{"n":%%d}}' % setup.workflow.encode()
            target, body = "/_workflows/_start", b'{"starts":[%b]}' % b",".join(item % number for number in numbers)
        return setup.scheduler.request("POST", target, body)

    def _codes(self, status: int, body: bytes, count: int) -> Counter[int]:
        """How many of the starts came to which code."""
        if self._setup.batch == 1 or status != _OK:
            return Counter({status: count})
        return Counter(result.code for result in _results.decode(body).results)
