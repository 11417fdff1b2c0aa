"""Reports that become due at the same time travel together, and again until they are answered.

Nothing is delayed to be batched: what becomes due while requests are under way makes up the next one. So batches grow
with the load, and an idle worker reports at once.
"""

from __future__ import annotations

import asyncio
from random import Random

from ..errors import ClaimError, OutcomeUnknown, Unavailable
from ..wire import StepReportResult
from .attempt import EncodedReport
from .bulk import Reported, Send, report_together

_REQUESTS_IN_FLIGHT = 2
_MAX_REPORTS = 1_000
_MAX_BYTES = 4_000_000
# One request's own patience; its reports then join those that have come since.
_REQUEST_S = 10.0
_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 5.0


class Reporter:
    """Delivers the ends of attempts."""

    def __init__(self, send: Send, random: Random) -> None:
        self._send = send
        self._random = random
        self._waiting: list[tuple[EncodedReport, asyncio.Future[Reported]]] = []
        self._requests: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._starting = False

    async def report(self, report: EncodedReport, give_up_after_s: float) -> Reported:
        """The server's word on it: a `code` of 200, or one that repeating would not change.

        Repeated until then, since a lease's end counts once however often it is reported.
        Raises: Unavailable; OutcomeUnknown, after `give_up_after_s`.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + give_up_after_s
        unknown, pause_s = False, _FIRST_PAUSE_S
        while True:
            why: Exception
            retry_after_s = None
            try:
                reported = await self._next_request(report)
                unknown = unknown or reported.after_unknown
                if not for_now(reported.result):
                    return Reported(reported.result, reported.sent_at_s, unknown)
                problem = reported.result.problem
                retry_after_s = None if problem is None else problem.retry_after_s
                why = Unavailable(f"the server answered {reported.result.code}", problem)
                unknown = unknown or is_unknown(reported.result)
            except ClaimError as error:
                unknown = unknown or not isinstance(error, Unavailable)
                why = error
            wait_s = max(retry_after_s or 0.0, pause_s * self._random.uniform(0.5, 1.0))
            if loop.time() + wait_s > deadline_s:
                raise OutcomeUnknown(str(why)) if unknown else why
            await asyncio.sleep(wait_s)
            pause_s = min(_LAST_PAUSE_S, pause_s * 2)

    async def _next_request(self, report: EncodedReport) -> Reported:
        answer: asyncio.Future[Reported] = asyncio.get_running_loop().create_future()
        self._waiting.append((report, answer))
        self._start()
        return await answer

    def _start(self) -> None:
        """Begin a request in the loop's next round, so that all that ends in this one goes with it."""
        if self._waiting and not self._starting and self._in_flight < _REQUESTS_IN_FLIGHT:
            self._starting = True
            self._in_flight += 1
            task = asyncio.create_task(self._request(), name="report")
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _request(self) -> None:
        self._starting = False
        batch = self._take()
        self._start()
        try:
            reports = [report for report, _ in batch]
            results = await report_together(self._send, reports, give_up_after_s=_REQUEST_S)
            for (_, answer), reported in zip(batch, results, strict=True):
                if not answer.done():
                    answer.set_result(reported)
        except Exception as error:  # noqa: BLE001  whoever waits for the answer gets it
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
        finally:
            self._in_flight -= 1
            self._start()

    def _take(self) -> list[tuple[EncodedReport, asyncio.Future[Reported]]]:
        """What goes into one request: at least one report, within the bounds."""
        count = size_bytes = 0
        for report, _ in self._waiting[:_MAX_REPORTS]:
            size_bytes += len(report.raw)
            if count and size_bytes > _MAX_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch


def for_now(result: StepReportResult) -> bool:
    """Whether the same report may be taken later."""
    return result.code >= 500 or result.code in (408, 429)


def is_unknown(result: StepReportResult) -> bool:
    """Whether a report that was not taken may have taken effect all the same."""
    return result.code >= 500 and (result.problem is None or not result.problem.type.endswith(":unavailable"))
