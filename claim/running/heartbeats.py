"""Keeps a worker's leases, and tells attempts that have lost theirs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from ..errors import ClaimError
from ..wire import ErrorInfo, HeartbeatBody, Problem, StepReport
from .attempt import Attempt, about, encoded
from .bulk import Reported, Send, report_together
from .leases import LeaseBook
from .reporter import for_now

log = logging.getLogger(__name__)

# One sending of a heartbeat may take this part of the shortest lease in it, so that another server can be asked.
_ANSWER_PART = 1 / 4
_ANSWER_MIN_S = 0.1
_ANSWER_MAX_S = 10.0


class Heartbeats:
    """Sends heartbeats as `LeaseBook` says. To be `run` as a task for as long as the worker holds leases."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._book = LeaseBook()
        self._attempts: dict[str, Attempt] = {}
        self._doubts: dict[str, asyncio.Future[bool]] = {}
        self._nudged = asyncio.Event()
        self._sendings: set[asyncio.Task[None]] = set()

    async def hold(self, attempt: Attempt, since_s: float) -> bool:
        """Keep a lease from now on; False when it is over. Waits for a heartbeat's answer if that is doubtful."""
        loop = asyncio.get_running_loop()
        step = attempt.step
        self._attempts[step.step_id] = attempt
        certain = self._book.hold(step.step_id, step.lease_ttl_ms, since_s, loop.time())
        self._nudged.set()
        if certain:
            return True
        doubt: asyncio.Future[bool] = loop.create_future()
        self._doubts[step.step_id] = doubt
        return await doubt

    def drop(self, step_id: str) -> None:
        """The lease is of no interest any more."""
        self._book.drop(step_id)
        self._attempts.pop(step_id, None)
        self._doubts.pop(step_id, None)

    def hurry(self, step_id: str) -> None:
        """Send this one's heartbeat now."""
        self._book.hurry(step_id, asyncio.get_running_loop().time())
        self._nudged.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._nudged.clear()
                self._pass_once()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._book.wake_at_s()):
                        await self._nudged.wait()
        finally:
            for sending in self._sendings:
                sending.cancel()

    def _pass_once(self) -> None:
        due = self._book.due(asyncio.get_running_loop().time())
        for step_id in due.over:
            self._over(step_id, "its lease is over: no heartbeat was answered in time")
        if due.beats:
            sending = asyncio.create_task(self._beat(due.beats), name="heartbeats")
            self._sendings.add(sending)
            sending.add_done_callback(self._sendings.discard)

    async def _beat(self, step_ids: list[str]) -> None:
        news = {id: attempt.context.news() for id in step_ids if (attempt := self._attempts.get(id))}
        if not news:
            return
        shortest_s, left_s = self._book.time_left_s(step_ids, asyncio.get_running_loop().time())
        reports = [encoded(StepReport(step_id, "heartbeat", heartbeat=body)) for step_id, body in news.items()]
        try:
            answers = await report_together(
                self._send,
                reports,
                answer_within_s=min(_ANSWER_MAX_S, max(_ANSWER_MIN_S, shortest_s * _ANSWER_PART)),
                give_up_after_s=left_s,
            )
            for step_id, reported in zip(news, answers, strict=True):
                self._settle(step_id, news[step_id], reported)
        except ClaimError as error:
            log.debug("heartbeats got no answer: %s", error)
            self._unanswered(news)
        except Exception:
            log.exception("heartbeats were given up because of a defect")
            self._unanswered(news)
        self._nudged.set()

    def _unanswered(self, step_ids: Iterable[str]) -> None:
        now_s = asyncio.get_running_loop().time()
        for step_id in step_ids:
            self._book.unanswered(step_id, now_s)

    def _settle(self, step_id: str, sent: HeartbeatBody, reported: Reported) -> None:
        result = reported.result
        attempt = self._attempts.get(step_id)
        if attempt is None:
            return
        if result.code == 200 and result.heartbeat is not None:
            attempt.context.delivered(sent)
            if result.heartbeat.cancel:
                self._over(step_id, result.heartbeat.reason or "the server asked it to stop")
                return
            self._book.renewed(step_id, result.heartbeat.lease_ttl_ms, reported.sent_at_s)
            self._decide(step_id, holds=True)
        elif result.code in (404, 409):
            self._over(step_id, f"its lease is lost: {_words(result.problem)}")
        elif for_now(result):
            attempt.context.not_taken(sent)
            self._unanswered([step_id])
        else:
            # What it carried is refused, not the renewal: the attempt could not keep its promise to the next one.
            attempt.refuse(ErrorInfo("heartbeat.refused", _words(result.problem)))
            attempt.context.delivered(sent)
            self._unanswered([step_id])

    def _over(self, step_id: str, reason: str) -> None:
        attempt = self._attempts.get(step_id)
        self._book.drop(step_id)
        if attempt is not None:
            if attempt.running:
                log.warning("step stopped: %s", reason, extra=about(attempt.step))
            attempt.stop(reason)
        self._decide(step_id, holds=False)

    def _decide(self, step_id: str, *, holds: bool) -> None:
        doubt = self._doubts.pop(step_id, None)
        if doubt is not None and not doubt.done():
            doubt.set_result(holds)


def _words(problem: Problem | None) -> str:
    return "the server gave no reason" if problem is None else problem.detail or problem.title
