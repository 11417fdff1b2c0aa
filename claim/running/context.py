"""`StepContext`: a function's view of its step, and what it reports while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import StepCancelled
from ..wire import Call, ClaimedStep, HeartbeatBody, Usage

# What one heartbeat carries of calls: well below what a server takes as one payload.
_CALLS_BYTES = 100_000


class StepContext:
    """One attempt of one step. Every method may be called from any thread.

    `step` is all that the claim said; the usual parts have a name of their own. `checkpoint` is what the attempt
    before left, None for a first one. `idempotency_key` names this step's run for other systems, the same in each
    attempt; `token` grows with each lease, for systems that can fence.
    """

    def __init__(self, step: ClaimedStep, hurry: Callable[[], None] = lambda: None) -> None:
        self.step = step
        self.cancel_reason: str | None = None
        self._hurry = hurry
        self._lock = threading.Lock()
        self._news = HeartbeatBody()
        self._usage = Usage()
        self._usage_reported = Usage()
        self._calls: list[Call] = []
        self._calls_delivered = 0
        self._calls_wait = False

    @property
    def payload(self) -> Any:
        return self.step.payload

    @property
    def attempt(self) -> int:
        return self.step.attempt

    @property
    def token(self) -> int:
        return self.step.token

    @property
    def checkpoint(self) -> Any:
        return self.step.checkpoint

    @property
    def idempotency_key(self) -> str:
        return f"{self.step.workflow_id}:{self.step.run_path}"

    @property
    def cancelled(self) -> bool:
        """Whether this attempt is to stop; `cancel_reason` says why. A thread has to look at it by itself."""
        return self.cancel_reason is not None

    def raise_if_cancelled(self) -> None:
        """For loops in plain functions. Raises: StepCancelled."""
        if self.cancel_reason is not None:
            raise StepCancelled(self.cancel_reason)

    def progress(self, percent: float | None = None, message: str | None = None) -> None:
        """Say how far it is, 0 to 100; goes with the next regular heartbeat, the latest one counts."""
        if percent is not None and not 0 <= percent <= 100:
            raise ValueError(f"the progress is {percent}; allowed: 0 to 100")
        with self._lock:
            news = self._news
            self._news = HeartbeatBody(
                news.progress if percent is None else percent,
                news.message if message is None else message[:1024].encode(errors="replace").decode(),
                news.checkpoint,
            )

    def save_checkpoint(self, checkpoint: Any) -> None:
        """Leave something for the next attempt, should this one not end well: any JSON but null.

        Sent with a heartbeat at once, without waiting for it; the latest one counts. One that the server does not
        take, such as one that is too large, fails the attempt.
        Raises: TypeError and others for what JSON can't hold; ValueError for None.
        """
        if checkpoint is None:
            raise ValueError("the checkpoint is None, which stands for none; allowed: any other JSON")
        encoded = _as_it_is_now(checkpoint)
        with self._lock:
            self._news = HeartbeatBody(self._news.progress, self._news.message, encoded)
        self._hurry()

    def usage(self, *, llm_calls: int = 0, llm_tokens: int = 0, cost: float = 0.0) -> None:
        """Add to what this attempt has consumed; counts against the instance's budgets."""
        if llm_calls < 0 or llm_tokens < 0 or not cost >= 0:
            raise ValueError("usage only grows: what is added must not be negative")
        with self._lock:
            used = self._usage
            self._usage = Usage(used.llm_calls + llm_calls, used.llm_tokens + llm_tokens, used.cost + cost)

    def record_call(
        self, name: str, *, input: Any = None, output: Any = None, duration_ms: int = 0, usage: Usage | None = None
    ) -> None:
        """Record a tool or model call. Its usage is not added to the attempt's.

        It goes into history with the next heartbeat, or with the attempt's end if that comes first, so what was done
        is known although the attempt may die.
        """
        with self._lock:
            number = len(self._calls) + 1
            self._calls.append(Call(name, _as_it_is_now(input), _as_it_is_now(output), duration_ms, usage, number))

    def news(self) -> HeartbeatBody:
        """What the next heartbeat is to carry: what has not been delivered yet."""
        with self._lock:
            usage = None if self._usage == self._usage_reported else self._usage
            calls = [] if self._calls_wait else _that_fit(self._calls[self._calls_delivered :])
            self._calls_wait = False
            return HeartbeatBody(self._news.progress, self._news.message, self._news.checkpoint, usage, calls)

    def delivered(self, sent: HeartbeatBody) -> None:
        """A heartbeat's news stands; what has changed since stays to be sent."""
        with self._lock:
            if sent.usage is not None:
                self._usage_reported = sent.usage
            if sent.calls:
                self._calls_delivered = max(self._calls_delivered, sent.calls[-1].number)
            news = self._news
            self._news = HeartbeatBody(
                None if news.progress == sent.progress else news.progress,
                None if news.message == sent.message else news.message,
                None if news.checkpoint is sent.checkpoint else news.checkpoint,
            )

    def used(self) -> Usage | None:
        """All that the attempt has consumed, None if that is nothing."""
        return None if self._usage == Usage() else self._usage

    def not_taken(self, sent: HeartbeatBody) -> None:
        """A heartbeat was refused for now. It may be for its calls: the next one goes without, to keep the lease."""
        self._calls_wait = bool(sent.calls)

    def calls_made(self) -> list[Call]:
        """The calls that no heartbeat has delivered for certain."""
        return self._calls[self._calls_delivered :]

    def cancel(self, reason: str) -> None:
        """The first reason stays."""
        if self.cancel_reason is None:
            self.cancel_reason = reason


def _that_fit(calls: list[Call]) -> list[Call]:
    """As many as one heartbeat carries, in order; the first one whatever its size."""
    size_bytes = 0
    for count, call in enumerate(calls):
        size_bytes += len(msgspec.json.encode(call))
        if count and size_bytes > _CALLS_BYTES:
            return calls[:count]
    return calls


def _as_it_is_now(value: Any) -> msgspec.Raw:
    """What is mutable may have changed by the time that it is sent."""
    return msgspec.Raw(msgspec.json.encode(value))
