"""`Worker`: claims steps for registered functions, keeps their leases, reports how they end, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeVar

from .client import DEFAULT_SERVER, ClaimClient
from .durations import Duration, duration_ms
from .errors import ClaimError, OutcomeUnknown, Unavailable
from .running.attempt import Attempt, EncodedReport, Function, about, failure, release
from .running.bulk import report_together
from .running.heartbeats import Heartbeats
from .running.reporter import Reporter
from .wire import ClaimedStep, StepReportResult

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Function)

_CAPABILITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
_MAX_CAPABILITIES = 64
_MAX_CLAIM = 1_000
_MAX_WAIT_S = 20.0
# After this long without a server that takes claims, a warning; then again.
_CLAIM_S = 10.0
# A finished step's report goes on past its lease: whether it still counts is for the server to say.
_REPORT_AT_LEAST_S = 60.0
_STOP_WITHIN_S = 5.0
_RELEASE_WITHIN_S = 5.0


class Worker:
    """Executes capabilities for one installation.

    `concurrency` steps run at a time, at most; claims ask for as many as there are free slots. `lease` is asked for
    with each claim (a step's `heartbeat_timeout` may make it shorter) and renewed at a third of it; `wait` is how long
    a claim waits for a first step (default: a third of the lease, at most 20 s, so that leases are fresh when they
    come). On SIGTERM or SIGINT it stops claiming at once, lets what runs finish for `drain_timeout`, and gives the
    rest back; a second signal cuts that short (`signals=False`: the program around it calls `stop` itself). A worker
    runs once. The other arguments are `ClaimClient`'s; `client` replaces them, and stays its owner's to open and close.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = DEFAULT_SERVER,
        *,
        concurrency: int = 16,
        lease: Duration = "30s",
        wait: Duration | None = None,
        drain_timeout: Duration = "30s",
        name: str | None = None,
        tenant: str | None = None,
        space: str | None = None,
        token: str | None = None,
        signals: bool = True,
        client: ClaimClient | None = None,
        random: Random | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; it must be at least 1")
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._functions: dict[str, Function] = {}
        self._random = random or Random()  # noqa: S311  jitter
        self._hears_signals = signals
        self._owned = client is None
        self._client = client or ClaimClient(servers, tenant=tenant, space=space, token=token, random=self._random)
        self._concurrency = concurrency
        self._lease = lease
        self._wait_s = min(_MAX_WAIT_S, duration_ms(lease) / 3_000) if wait is None else duration_ms(wait) / 1_000
        self._drain_timeout_s = duration_ms(drain_timeout) / 1_000
        self._heartbeats = Heartbeats(self._client.report_timed)
        self._reporter = Reporter(self._client.report_timed, self._random)
        self._attempts: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    def capability(self, name: str) -> Callable[[F], F]:
        """Decorator: this function executes that capability. Raises: as `add`."""

        def register(function: F) -> F:
            self.add(name, function)
            return function

        return register

    def add(self, capability: str, function: Function) -> None:
        """Register a coroutine function, or a plain one, which runs in a thread; it gets a `StepContext`.

        What it returns is the step's result. Raises: ValueError for a bad or doubled name, or one too many.
        """
        if not _CAPABILITY.fullmatch(capability):
            raise ValueError(
                f"the capability is {capability!r}; allowed: 1 to 128 letters, digits, dots, hyphens, colons and"
                " underscores, a letter or digit first"
            )
        if capability in self._functions:
            raise ValueError(f"the capability {capability!r} has a function already")
        if len(self._functions) == _MAX_CAPABILITIES:
            raise ValueError(f"a worker has at most {_MAX_CAPABILITIES} capabilities; start another one")
        self._functions[capability] = function

    def function(self, capability: str) -> Function:
        """Raises: KeyError."""
        return self._functions[capability]

    @property
    def capabilities(self) -> list[str]:
        return list(self._functions)

    def stop(self) -> None:
        """Begin the orderly end of `run`; the second call cuts it short. To be called in the event loop's thread."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()

    def main(self) -> None:
        """`run` in an event loop of its own, for programs that do nothing else."""
        asyncio.run(self.run())

    async def run(self) -> None:
        """Work until `stop`, SIGTERM or SIGINT.

        Servers that are away are waited for, however long. To cancel it is to stop it. Raises: ValueError without any
        capability; Refused or WrongAnswer when this worker may not claim there, after what runs has ended.
        """
        if not self._functions:
            raise ValueError("the worker has no capability; register a function first")
        async with contextlib.AsyncExitStack() as stack:
            if self._owned:
                await stack.enter_async_context(self._client)
            if self._hears_signals:
                stack.enter_context(self._signals())
            heartbeats = asyncio.create_task(self._heartbeats.run(), name="heartbeats")
            stack.push_async_callback(_ended, heartbeats)
            log.info("claiming", extra={"capabilities": ",".join(self._functions), "worker": self.name})
            try:
                await self._claim_until_stopped(heartbeats)
            finally:
                await self._drain()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the worker, where this loop may listen to them."""
        loop = asyncio.get_running_loop()
        heard = []
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.stop)
                heard.append(number)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    async def _claim_until_stopped(self, heartbeats: asyncio.Task[None]) -> None:
        """Raises: what ends the claims, or the heartbeats, without which nothing may be claimed."""
        claiming = asyncio.create_task(self._claim_forever(), name="claims")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            either: set[asyncio.Task[Any]] = {claiming, stopping, heartbeats}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _ended(stopping)
            await _ended(claiming)
        for task in (claiming, heartbeats):
            if task.done() and not task.cancelled():
                task.result()

    async def _claim_forever(self) -> None:
        """Raises: what the server refuses a claim with."""
        while True:
            free = self._concurrency - len(self._attempts)
            if free <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            asked_at_s = asyncio.get_running_loop().time()
            try:
                await self._claim_once(min(free, _MAX_CLAIM))
            except (Unavailable, OutcomeUnknown) as error:
                log.warning("no server takes claims: %s", error)
                if asyncio.get_running_loop().time() - asked_at_s < _CLAIM_S / 2:
                    # All servers want to be left alone for longer than a claim may last.
                    await asyncio.sleep(self._random.uniform(1.0, _CLAIM_S / 2))

    async def _claim_once(self, free: int) -> None:
        loop = asyncio.get_running_loop()
        asked_at_s = loop.time()
        claimed = await self._client.claim_timed(
            self._functions,
            max=free,
            lease=self._lease,
            wait=f"{int(self._wait_s * 1_000)}ms",
            worker=self.name,
            give_up_after_s=_CLAIM_S,
        )
        for step in claimed.steps:
            if step.step_id not in self._attempts:
                self._begin(step, claimed.since_s)
        if not claimed.steps and loop.time() - asked_at_s < self._wait_s / 2:
            # The server did not wait, as one that is about to stop: not to be asked again and again.
            await asyncio.sleep(self._random.uniform(0.1, 0.5))

    def _begin(self, step: ClaimedStep, since_s: float) -> None:
        loop = asyncio.get_running_loop()

        def hurry() -> None:
            loop.call_soon_threadsafe(self._heartbeats.hurry, step.step_id)

        attempt = Attempt(step, self._functions[step.capability], hurry)
        task = loop.create_task(self._attend(attempt, since_s), name=f"attempt {step.step_id}")
        self._attempts[step.step_id] = (attempt, task)

    async def _attend(self, attempt: Attempt, since_s: float) -> None:
        """An attempt from its claim to its acknowledged end. Its slot is free again after this."""
        step = attempt.step
        try:
            if await self._heartbeats.hold(attempt, since_s):
                report = await attempt.run()
                if report is None and attempt.to_release:
                    report = release(step)
                if report is not None:
                    await self._deliver(attempt, report)
        except Exception:
            log.exception("an attempt was abandoned, its lease will end by itself", extra=about(step))
        finally:
            self._heartbeats.drop(step.step_id)
            del self._attempts[step.step_id]
            self._freed.set()

    async def _deliver(self, attempt: Attempt, report: EncodedReport) -> None:
        """Report until the server has answered; a result that it does not take fails the attempt."""
        step = attempt.step
        patience_s = step.lease_ttl_ms / 1_000 + _REPORT_AT_LEAST_S
        try:
            reported = await self._reporter.report(report, patience_s)
            refused = reported.result.problem
            if refused is not None and reported.result.code not in (404, 409):
                words = refused.detail or refused.title
                log.warning("%s was refused: %s", report.action, words, extra=about(step))
                if report.action == "release":
                    return
                fallback = failure(step, attempt.context, "result.refused", words, retryable=False, calls=False)
                reported = await self._reporter.report(fallback, patience_s)
        except ClaimError as error:
            log.warning("%s could not be delivered: %s", report.action, error, extra=about(step))
            return
        _log_end(step, report.action, reported.result, reported.after_unknown)

    async def _drain(self) -> None:
        """Let what runs finish, stop the rest, give its leases back."""
        if not self._attempts:
            return
        log.info("draining", extra={"running": len(self._attempts)})
        hurried = asyncio.create_task(self._hurried.wait(), name="hurried")
        tasks = asyncio.gather(*(task for _, task in self._attempts.values()), return_exceptions=True)
        either: set[asyncio.Future[Any]] = {tasks, hurried}
        await asyncio.wait(either, timeout=self._drain_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        await _ended(hurried)
        for attempt, _ in self._attempts.values():
            attempt.stop("the worker is stopping", release=True)
        await asyncio.wait({tasks}, timeout=_STOP_WITHIN_S)
        await self._abandon()

    async def _abandon(self) -> None:
        """Give back what does not stop: a thread ends with the process only."""
        left = list(self._attempts.values())
        stuck = [release(attempt.step) for attempt, _ in left if attempt.to_release]
        if stuck:
            with contextlib.suppress(ClaimError):
                await report_together(self._client.report_timed, stuck, give_up_after_s=_RELEASE_WITHIN_S)
        for _, task in left:
            await _ended(task)


def _log_end(step: ClaimedStep, action: str, result: StepReportResult, after_unknown: bool) -> None:
    if result.problem is None:
        level = logging.DEBUG if action == "complete" else logging.INFO
        words = {"complete": "completed", "fail": "failed"}.get(action, "released")
        log.log(level, "step %s", words, extra=about(step))
    elif after_unknown:
        log.info("step ended; whether by this %s is not known: %s", action, result.problem.detail, extra=about(step))
    else:
        log.warning("%s does not count: %s", action, result.problem.detail, extra=about(step))


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; what it raises is of no interest."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
