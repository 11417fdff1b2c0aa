"""One function call under one lease, and the report that comes of it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..errors import StepFailed
from ..wire import ClaimedStep, CompleteBody, ErrorInfo, FailBody, StepReport
from .context import StepContext
from .threads import in_thread

log = logging.getLogger(__name__)

Function = Callable[[StepContext], Awaitable[Any]] | Callable[[StepContext], Any]
"""What executes a capability: a coroutine function, or a plain one, which runs in a thread."""

_MESSAGE_CHARACTERS = 8_192
_TYPE_CHARACTERS = 256


class EncodedReport(Struct, frozen=True):
    """A `StepReport` as it travels."""

    step_id: str
    action: Literal["complete", "fail", "heartbeat", "release"]
    raw: msgspec.Raw


class Attempt:
    """Runs a function for a claimed step. `to_release`: once it has stopped, its lease is to be given back."""

    def __init__(self, step: ClaimedStep, function: Function, hurry: Callable[[], None] = lambda: None) -> None:
        self.step = step
        self.context = StepContext(step, hurry)
        self.to_release = False
        self._function = function
        # A thread can't be cancelled, and its attempt is not over before it has ended.
        self._interruptible = _is_coroutine_function(function)
        self._refused: ErrorInfo | None = None
        self._task: asyncio.Task[Any] | None = None

    @property
    def running(self) -> bool:
        """Whether its function has neither ended nor been told to stop."""
        return self._task is not None and not self._task.done() and not self.context.cancelled

    def stop(self, reason: str, *, release: bool = False) -> None:
        """Tell the function to stop: a coroutine is cancelled, a thread can see it in its context.

        What it returns or raises from then on counts for nothing. Has no effect on a function that has ended.
        """
        if self._task is not None and self._task.done():
            return
        self.context.cancel(reason)
        self.to_release = self.to_release or release
        if self._task is not None and self._interruptible:
            self._task.cancel()

    def refuse(self, error: ErrorInfo) -> None:
        """Fail the attempt with an error that its function did not raise."""
        if self.running:
            self._refused = error
            self.stop(error.message)

    async def run(self) -> EncodedReport | None:
        """The report of how it ended; None when it was stopped, since then there is nothing to say.

        A step's `timeout` ends the attempt at the server; here it stops the function without waiting to be told.
        """
        step, context = self.step, self.context
        if context.cancelled:
            return None
        task = self._task = asyncio.create_task(self._call(), name=f"step {step.step_id}")
        try:
            limit_s = None if step.timeout_ms is None else step.timeout_ms / 1_000
            if not (await asyncio.wait({task}, timeout=limit_s))[0]:
                self.stop(f"its timeout of {step.timeout_ms} ms has passed")
                await asyncio.wait({task})
        finally:
            task.cancel()
        if self._refused is not None:
            return self._failure(StepFailed(self._refused.type, self._refused.message, retryable=False))
        if context.cancelled:
            return None
        return self._report(task)

    async def _call(self) -> Any:
        function, context = self._function, self.context
        try:
            if self._interruptible:
                return await function(context)
            result = await in_thread(partial(function, context), f"step {self.step.step_id}")
            self._interruptible = True
            return await result if inspect.isawaitable(result) else result
        except SystemExit as error:
            # As it is, it would end the whole worker.
            raise StepFailed("python.SystemExit", f"the function asked the process to exit: {error}") from error

    def _report(self, task: asyncio.Task[Any]) -> EncodedReport:
        error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            return self._failure(error)
        body = CompleteBody(task.result(), self.context.used(), self.context.calls_made())
        try:
            return encoded(StepReport(self.step.step_id, "complete", complete=body))
        except (TypeError, ValueError, OverflowError, RecursionError) as not_json:
            message = f"the result can't be written as JSON: {not_json}"
            return self._failure(StepFailed("result.invalid", message, retryable=False))

    def _failure(self, error: BaseException) -> EncodedReport:
        if isinstance(error, StepFailed):
            type, message, retryable = error.type, error.message, error.retryable
        else:
            type, message, retryable = f"python.{error.__class__.__name__}", str(error), True
            log.warning("step failed with an exception", extra=about(self.step), exc_info=error)
        return failure(self.step, self.context, type, message, retryable=retryable)


def failure(
    step: ClaimedStep, context: StepContext, type: str, message: str, *, retryable: bool, calls: bool = True
) -> EncodedReport:
    """A report of failure, within what the wire allows."""
    info = ErrorInfo(_sendable(type, _TYPE_CHARACTERS) or "failed", _sendable(message, _MESSAGE_CHARACTERS))
    body = FailBody(info, retryable, context.used(), context.calls_made() if calls else [])
    return encoded(StepReport(step.step_id, "fail", fail=body))


def release(step: ClaimedStep) -> EncodedReport:
    return encoded(StepReport(step.step_id, "release"))


def encoded(report: StepReport) -> EncodedReport:
    """Raises: TypeError, ValueError, OverflowError, RecursionError for what JSON can't hold."""
    return EncodedReport(report.step_id, report.action, msgspec.Raw(msgspec.json.encode(report)))


def about(step: ClaimedStep) -> dict[str, Any]:
    """What a log line on a step carries."""
    return {"step_id": step.step_id, "instance_id": step.workflow_id, "capability": step.capability}


def _is_coroutine_function(function: Function) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _sendable(text: str, characters: int) -> str:
    """Within its length, and without lone surrogates, which JSON in UTF-8 can't hold."""
    return text[:characters].encode(errors="replace").decode()
