"""A scheduler in memory that speaks the wire of claims and reports: the worker's peer in virtual time.

It holds to what the real one promises: one lease a step, tokens that grow, a repeated completion of the same lease is
acknowledged, anything under an ended lease is refused, a released attempt does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec
from leasehold.claim.durations import duration_ms
from leasehold.claim.transport import Answer, NoAnswer, Request

from .scripted import PROBLEM, Heard, problem, said

Fault = Callable[[Heard], Answer | Exception | float | None]
"""An answer instead, an exception after the request has taken effect, a delay in seconds, or nothing."""


class Step(msgspec.Struct):
    """A step and what has become of it. `token` is its last lease's; `ends_at_s` that lease's end."""

    name: str
    payload: Any = None
    capability: str = "work"
    fields: dict[str, Any] = {}
    lease_s: float | None = None
    status: str = "ready"
    attempt: int = 0
    token: int = 0
    ends_at_s: float = 0.0
    cancel: str | None = None
    result: Any = None
    errors: list[dict[str, Any]] = []
    retryable: bool = True
    checkpoint: Any = None
    usage: Any = None
    calls: list[Any] = []
    beats_at_s: list[float] = []
    beats: list[dict[str, Any]] = []


class ModelScheduler:
    """An `Exchange`. `fault` may tamper with any request; `round_trip_s` is half there, half back."""

    def __init__(self, round_trip_s: float = 0.002) -> None:
        self.steps: dict[str, Step] = {}
        self.heard: list[Heard] = []
        self.fault: Fault = lambda heard: None
        self.most_claimed = 0
        self._round_trip_s = round_trip_s
        self._tokens = 0
        self._changed = asyncio.Event()

    def add(self, name: str, payload: Any = None, *, lease_s: float | None = None, **fields: Any) -> Step:
        capability = fields.pop("capability", "work")
        step = self.steps[name] = Step(name, payload, capability, fields, lease_s)
        self._changed.set()
        return step

    def requests(self, action: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.path.endswith(action)]

    def bulks(self, action: str) -> list[Heard]:
        """The bulk requests that hold a report of this action."""
        return [
            heard
            for heard in self.requests("_bulk")
            if any(report["action"] == action for report in heard.body["reports"])
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def __call__(self, request: Request, within_s: float) -> Answer:
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = msgspec.json.decode(request.body) if request.body else None
        heard = Heard(request.method, parts.path, query, request.headers, body, parts.netloc)
        self.heard.append(heard)
        try:
            async with asyncio.timeout(within_s):
                return await self._answer(heard)
        except TimeoutError:
            raise NoAnswer(f"no answer within {within_s:g} s") from None

    async def _answer(self, heard: Heard) -> Answer:
        await self._travel()
        fault = self.fault(heard)
        if isinstance(fault, Answer):
            return fault
        if isinstance(fault, float):
            await asyncio.sleep(fault)
        answer = await self._claim(heard.query) if heard.path.endswith("_claim") else self._bulk(heard.body)
        await self._travel()
        if isinstance(fault, Exception):
            raise fault
        return answer

    async def _travel(self) -> None:
        if self._round_trip_s:
            await asyncio.sleep(self._round_trip_s / 2)

    async def _claim(self, query: dict[str, str]) -> Answer:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + duration_ms(query.get("wait", "0s")) / 1_000
        while True:
            self._expire()
            wanted = query["capability"].split(",")
            ready = [step for step in self.steps.values() if step.status == "ready" and step.capability in wanted]
            if ready or loop.time() >= until_s:
                return said({"steps": [self._lease(step, query) for step in ready[: int(query["max"])]]})
            self._changed.clear()
            leased_until = [step.ends_at_s for step in self.steps.values() if step.status == "claimed"]
            try:
                async with asyncio.timeout_at(min([until_s, *leased_until])):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _lease(self, step: Step, query: dict[str, str]) -> dict[str, Any]:
        lease_s = step.lease_s or duration_ms(query["lease"]) / 1_000
        self._tokens += 1
        step.status, step.token, step.attempt = "claimed", self._tokens, step.attempt + 1
        step.ends_at_s = asyncio.get_running_loop().time() + lease_s
        claimed = sum(other.status == "claimed" for other in self.steps.values())
        self.most_claimed = max(self.most_claimed, claimed)
        return {
            "step_id": f"{step.name}~{step.token}",
            "workflow_id": "00-a",
            "workflow_name": "w",
            "workflow_version": 1,
            "step_name": step.name,
            "run_path": step.name,
            "capability": step.capability,
            "attempt": step.attempt,
            "token": step.token,
            "lease_ttl_ms": int(lease_s * 1_000),
            "tenant": "acme",
            "space": "default",
            "payload": step.payload,
            "checkpoint": step.checkpoint,
            **step.fields,
        }

    def _expire(self) -> None:
        for step in self.steps.values():
            if step.status == "claimed" and step.ends_at_s <= asyncio.get_running_loop().time():
                step.status = "ready"

    def _bulk(self, body: Any) -> Answer:
        self._expire()
        results = [{"step_id": report["step_id"], **self._report(report)} for report in body["reports"]]
        self._changed.set()
        return said({"results": results})

    def _report(self, report: dict[str, Any]) -> dict[str, Any]:
        name, _, token = report["step_id"].rpartition("~")
        step, action = self.steps[name], report["action"]
        if action == "complete" and step.status == "succeeded" and step.token == int(token):
            return {"code": 200, "status": step.status}
        if action == "heartbeat" and step.status == "cancelled":
            return {"code": 200, "heartbeat": {"lease_ttl_ms": 0, "cancel": True, "reason": step.cancel}}
        if step.status != "claimed" or step.token != int(token):
            held = step.token if step.status == "claimed" else 0
            detail = f"token {token} does not hold"
            lost = {"type": PROBLEM + "lease-lost", "title": "", "status": 409, "detail": detail, "token_held": held}
            return {"code": 409, "problem": lost}
        return self._of_holder(step, action, report)

    def _of_holder(self, step: Step, action: str, report: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        body = report.get(action) or {}
        too_large = len(msgspec.json.encode(body)) > 10_000
        if too_large:
            detail = f"the {action} has too many bytes"
            refused = msgspec.json.decode(problem(413, "payload-too-large", detail).body)
            return {"code": 413, "problem": refused}
        if action == "heartbeat":
            lease_s = step.lease_s or 3.0
            step.ends_at_s = loop.time() + lease_s
            step.beats_at_s = [*step.beats_at_s, loop.time()]
            step.beats = [*step.beats, body]
            step.checkpoint = body.get("checkpoint", step.checkpoint)
            step.usage = body.get("usage", step.usage)
            step.calls = [*step.calls, *body.get("calls", [])]
            return {"code": 200, "heartbeat": {"lease_ttl_ms": int(lease_s * 1_000)}}
        step.usage = body.get("usage", step.usage)
        step.calls = [*step.calls, *body.get("calls", [])]
        if action == "complete":
            step.status, step.result = "succeeded", body.get("result")
        elif action == "fail":
            step.status, step.retryable = "failed", body.get("retryable", True)
            step.errors = [*step.errors, body["error"]]
        else:
            step.status, step.attempt = "ready", step.attempt - 1
        return {"code": 200, "status": step.status}
