"""Inline mode: run a step's function as a worker would, without any server.

    def test_greet() -> None:
        outcome = run_step(worker, "greet", {"name": "Ada"})
        assert outcome.result == {"text": "Hello, Ada"}

The function gets a real `StepContext` and runs as it does in a worker (a plain one in a thread). What it returns goes
through JSON, so a test sees what the workflow would see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from .running.attempt import Attempt, EncodedReport, Function
from .wire import Call, ClaimedStep, ErrorInfo, HeartbeatBody, StepReport, Usage
from .worker import Worker


class Outcome(Struct, frozen=True):
    """How a step's attempt ended, and what it said on the way.

    Exactly one of these: a `result` (which may be None) without `error`; an `error`; `cancelled`. `checkpoints` are all
    that it saved, `progress` and `message` the last that it gave.
    """

    result: Any = None
    error: ErrorInfo | None = None
    retryable: bool = True
    cancelled: bool = False
    usage: Usage | None = None
    calls: list[Call] = []
    checkpoints: list[Any] = []
    progress: float | None = None
    message: str | None = None


def claimed_step(capability: str = "test", payload: Any = None, **fields: Any) -> ClaimedStep:
    """A claimed step as a server would hand it out; `fields` are any others of `ClaimedStep`."""
    usual: dict[str, Any] = {
        "step_id": "00-test~step~1",
        "workflow_id": "00-test",
        "workflow_name": "test",
        "workflow_version": 1,
        "step_name": "step",
        "run_path": "step",
        "attempt": 1,
        "token": 1,
        "lease_ttl_ms": 30_000,
        "tenant": "default",
        "space": "default",
    }
    return ClaimedStep(capability=capability, payload=payload, **{**usual, **fields})


def run_step(
    executor: Worker | Function,
    capability: str,
    payload: Any = None,
    *,
    cancel_at_checkpoint: bool = False,
    fields: Mapping[str, Any] | None = None,
) -> Outcome:
    """`run_step_async` in an event loop of its own, for tests that are no coroutines."""
    return asyncio.run(
        run_step_async(executor, capability, payload, cancel_at_checkpoint=cancel_at_checkpoint, fields=fields)
    )


async def run_step_async(
    executor: Worker | Function,
    capability: str,
    payload: Any = None,
    *,
    cancel_at_checkpoint: bool = False,
    fields: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run the function that `executor` has for a capability, or `executor` itself if it is a function.

    `payload` goes through JSON too. `fields` are further ones of the claimed step (`attempt`, `checkpoint`, ...).
    `cancel_at_checkpoint` cancels the attempt when it saves its first checkpoint, as a server that asks it to stop.
    Raises: KeyError when a worker has no function for that capability.
    """
    function = executor.function(capability) if isinstance(executor, Worker) else executor
    step = claimed_step(capability, _through_json(payload), **(fields or {}))
    loop = asyncio.get_running_loop()
    checkpoints: list[Any] = []

    def saved() -> None:
        checkpoints.append(msgspec.json.decode(attempt.context.news().checkpoint))
        if cancel_at_checkpoint:
            loop.call_soon_threadsafe(attempt.stop, "the test cancels it")

    attempt = Attempt(step, function, saved)
    report = await attempt.run()
    return _outcome(report, attempt.context.news(), checkpoints)


def _outcome(report: EncodedReport | None, news: HeartbeatBody, checkpoints: list[Any]) -> Outcome:
    if report is None:
        return Outcome(
            cancelled=True, usage=news.usage, checkpoints=checkpoints, progress=news.progress, message=news.message
        )
    said = msgspec.json.decode(report.raw, type=StepReport)
    body = said.complete or said.fail
    assert body is not None
    return Outcome(
        result=said.complete.result if said.complete else None,
        error=said.fail.error if said.fail else None,
        retryable=said.fail.retryable if said.fail else True,
        usage=body.usage,
        calls=body.calls,
        checkpoints=checkpoints,
        progress=news.progress,
        message=news.message,
    )


def _through_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
