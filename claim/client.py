"""`ClaimClient`: the HTTP surface as typed coroutines, over several servers.

Each method's docstring says whether a call is repeated after an unknown outcome, and why that is safe. What all share:
a sending that reached nobody, or that a server answers with "nothing was done" (503 `unavailable`, 429, 408), is
always repeated, until `give_up_after_s` has passed. Then the call raises `Unavailable`, or `OutcomeUnknown` if one of
its sendings may have taken effect. What a server refuses raises `Refused`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from .durations import Duration, duration_ms, duration_text
from .errors import WrongAnswer
from .transport import Addresses, AiohttpExchange, Answered, Caller, Exchange, Outgoing, decoded
from .wire import (
    Acknowledged,
    Call,
    ClaimedStep,
    ClaimedSteps,
    CompleteBody,
    DecisionBody,
    DefinitionStored,
    ErrorInfo,
    FailBody,
    HeartbeatAnswer,
    HeartbeatBody,
    InstanceView,
    ReasonBody,
    RetryBody,
    SignalBody,
    StartAnswer,
    StartBody,
    StartItem,
    StartItems,
    StartResult,
    StartResults,
    StepReport,
    StepReportResult,
    StepReportResults,
    Usage,
)

T = TypeVar("T")

DEFAULT_SERVER = "http://127.0.0.1:8080"
ENDED = frozenset({"succeeded", "failed", "cancelled", "terminated"})
"""The statuses that an instance keeps for good."""

_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 2.0


class TimedClaim(Struct, frozen=True):
    """Claimed steps; none of their leases began before `since_s` of the event loop's clock."""

    steps: list[ClaimedStep]
    since_s: float


class TimedResults(Struct, frozen=True):
    """Results of reports. A renewal among them counts from `sent_at_s` at least; `after_unknown` is as in `Refused`."""

    results: list[StepReportResult]
    sent_at_s: float
    after_unknown: bool


class ClaimClient:
    """A client of one installation, for executors and for scripts; an async context manager.

    `servers`: addresses of replicas (or one text, separated by commas); one is used until it fails, then the next.
    `tenant` and `space` count in development mode only; `token` goes into `Authorization: Bearer`. `worker` is the
    executor's name in views and history. `answer_within_s` bounds one sending (a claim's `wait` comes on top),
    `give_up_after_s` all sendings of one call. `random` draws request ids and jitter.
    """

    def __init__(
        self,
        servers: str | Sequence[str] = DEFAULT_SERVER,
        *,
        tenant: str | None = None,
        space: str | None = None,
        token: str | None = None,
        worker: str = "",
        answer_within_s: float = 10.0,
        give_up_after_s: float = 60.0,
        random: Random | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        self._random = random or Random()  # noqa: S311  ids need to differ, not to be secret
        self._exchange = exchange or AiohttpExchange()
        self._caller = Caller(
            Addresses(_addresses(servers), self._random), self._exchange, headers=_headers(tenant, space, token)
        )
        self._worker = worker
        self._answer_within_s = answer_within_s
        self._give_up_after_s = give_up_after_s

    async def __aenter__(self) -> Self:
        await self._exchange.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)

    async def claim(
        self,
        capabilities: str | Iterable[str],
        *,
        max: int = 1,
        lease: Duration | None = None,
        wait: Duration | None = None,
        worker: str | None = None,
    ) -> list[ClaimedStep]:
        """Up to `max` ready steps of any of these capabilities, each under a lease; none if nothing came within `wait`.

        Repeated after an unknown outcome: every sending of one call carries the same request id, under which a server
        gives the same leases again. Leases that get lost all the same end by themselves, without using a retry.
        Raises: Refused; Unavailable; OutcomeUnknown.
        """
        timed = await self.claim_timed(capabilities, max=max, lease=lease, wait=wait, worker=worker)
        return timed.steps

    async def claim_timed(
        self,
        capabilities: str | Iterable[str],
        *,
        max: int = 1,
        lease: Duration | None = None,
        wait: Duration | None = None,
        worker: str | None = None,
        give_up_after_s: float | None = None,
    ) -> TimedClaim:
        """As `claim`, with the time from which the leases must be counted."""
        names = capabilities if isinstance(capabilities, str) else ",".join(capabilities)
        name = self._worker if worker is None else worker
        query = {"capability": names, "max": str(max), "request_id": f"{self._random.getrandbits(128):032x}"}
        if lease is not None:
            query["lease"] = duration_text(lease)
        if wait is not None:
            query["wait"] = duration_text(wait)
        if name:
            query["worker"] = name
        wait_s = 0.0 if wait is None else duration_ms(wait) / 1_000
        outgoing = Outgoing("POST", "/_workflows/_steps/_claim", repeatable=True, query=query)
        answered = await self._send(
            outgoing, answer_within_s=wait_s + self._answer_within_s, give_up_after_s=give_up_after_s
        )
        steps = decoded(answered, ClaimedSteps).steps if answered.body else []
        return TimedClaim(steps, answered.since_s)

    async def complete(
        self,
        step: str | ClaimedStep,
        result: Any = None,
        *,
        usage: Usage | None = None,
        calls: Sequence[Call] = (),
    ) -> Acknowledged:
        """End an attempt with its result (anything that JSON can hold); the result stands when this returns.

        Repeated after an unknown outcome: a server acknowledges the same lease's completion again, and refuses any
        under a lease that has ended. So `LeaseLost` says that this result does not count, with one exception: with
        `after_unknown` the first sending may have counted, and the instance may have moved on since. In both cases
        the caller is done with the step and must not undo its work.
        Raises: LeaseLost; NotFound; Refused (413: the result is too large); Unavailable; OutcomeUnknown.
        """
        return await self._report(step, "_complete", CompleteBody(result, usage, list(calls)), Acknowledged)

    async def fail(
        self,
        step: str | ClaimedStep,
        type: str,
        message: str = "",
        *,
        retryable: bool = True,
        usage: Usage | None = None,
        calls: Sequence[Call] = (),
    ) -> Acknowledged:
        """End an attempt with an error; the step's retry policy decides what follows, unless `retryable` is false.

        Repeated after an unknown outcome: a failure ends its lease, so a second one is refused and counts for
        nothing. `LeaseLost` with `after_unknown` therefore usually means that the first sending did it.
        Raises: as `complete`.
        """
        body = FailBody(ErrorInfo(type, message), retryable, usage, list(calls))
        return await self._report(step, "_fail", body, Acknowledged)

    async def heartbeat(
        self,
        step: str | ClaimedStep,
        *,
        progress: float | None = None,
        message: str | None = None,
        checkpoint: Any = None,
        usage: Usage | None = None,
        calls: Sequence[Call] = (),
    ) -> HeartbeatAnswer:
        """Renew a lease, report on the way, and hear whether to stop (`cancel`), and why (`reason`).

        The renewed lease lasts `lease_ttl_ms` from when the server took the call; counting from before this call is
        safe. Repeated after an unknown outcome: renewing twice renews once, and `usage` is cumulative. `calls` are
        those made since the last report; number them, and one that was reported twice is shown once.
        Raises: LeaseLost; NotFound; Refused (413: checkpoint or calls are too large); Unavailable (also while there is
        no room for calls: the lease is renewed then); OutcomeUnknown.
        """
        body = HeartbeatBody(progress, message, checkpoint, usage, list(calls))
        return await self._report(step, "_heartbeat", body, HeartbeatAnswer)

    async def release(self, step: str | ClaimedStep) -> Acknowledged:
        """Give a lease back: the step is ready again, and the attempt does not count.

        Repeated after an unknown outcome, safe as `fail` is. Raises: LeaseLost; NotFound; Unavailable; OutcomeUnknown.
        """
        return await self._report(step, "_release", None, Acknowledged)

    async def report(self, reports: Sequence[StepReport]) -> list[StepReportResult]:
        """Many completions, failures, heartbeats and releases in one request; one result each, in their order.

        A result's `code` is the status that the single call would have; refused ones do not raise. Repeated as a whole
        after an unknown outcome, which is safe as it is for each kind alone.
        Raises: Refused when the whole request is; Unavailable; OutcomeUnknown.
        """
        return (await self.report_timed(reports)).results

    async def report_timed(
        self,
        reports: Sequence[StepReport | msgspec.Raw],
        *,
        answer_within_s: float | None = None,
        give_up_after_s: float | None = None,
    ) -> TimedResults:
        """As `report`, with the time from which renewed leases may be counted. A report may be encoded already."""
        body = msgspec.json.encode({"reports": reports})
        outgoing = Outgoing("POST", "/_workflows/_steps/_bulk", repeatable=True, body=body)
        answered = await self._send(outgoing, answer_within_s=answer_within_s, give_up_after_s=give_up_after_s)
        results = decoded(answered, StepReportResults).results
        if len(results) != len(reports):
            raise WrongAnswer(f"{len(reports)} reports got {len(results)} results")
        return TimedResults(results, answered.sent_at_s, answered.after_unknown)

    async def start(
        self,
        workflow: str,
        params: Mapping[str, Any] | None = None,
        *,
        trigger: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        correlation_id: str | None = None,
        version: int | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> StartAnswer:
        """Start an instance; it stands when this returns.

        With an `idempotency_key` the call is repeated after an unknown outcome: the key stands for one instance, and
        a repeat gets that one. Without a key it is not: a second sending could start a second instance.
        Raises: NotFound; Refused (422: the params do not fit); Unavailable; OutcomeUnknown.
        """
        body = StartBody(dict(trigger or {}), dict(params or {}), dict(labels or {}), correlation_id, version)
        headers = _start_headers(idempotency_key, traceparent)
        outgoing = Outgoing(
            "POST",
            f"/_workflows/{_segment(workflow)}/_start",
            repeatable=idempotency_key is not None,
            headers=headers,
            body=msgspec.json.encode(body),
        )
        return decoded(await self._send(outgoing), StartAnswer)

    async def start_many(self, starts: Sequence[StartItem], *, traceparent: str | None = None) -> list[StartResult]:
        """Start many instances in one request; one result each, in their order; refused ones do not raise.

        Repeated after an unknown outcome only if every item has an `idempotency_key`.
        Raises: Refused when the whole request is; Unavailable; OutcomeUnknown.
        """
        outgoing = Outgoing(
            "POST",
            "/_workflows/_start",
            repeatable=all(item.idempotency_key is not None for item in starts),
            headers=_start_headers(None, traceparent),
            body=msgspec.json.encode(StartItems(list(starts))),
        )
        return decoded(await self._send(outgoing), StartResults).results

    async def instance(self, instance_id: str) -> InstanceView:
        """An instance as the store holds it, live or finished. Raises: NotFound; Unavailable."""
        outgoing = Outgoing("GET", f"/_workflows/_instances/{_segment(instance_id)}", repeatable=True)
        return decoded(await self._send(outgoing), InstanceView)

    async def wait_for(self, instance_id: str, *, within_s: float | None = None) -> InstanceView:
        """The instance once it has ended, whatever its status then; asks again and again, ever more slowly.

        Raises: TimeoutError when it has not ended `within_s`; as `instance`.
        """
        pause_s = _FIRST_PAUSE_S
        try:
            async with asyncio.timeout(within_s) as limit:
                while (view := await self.instance(instance_id)).status not in ENDED:
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 1.5, _LAST_PAUSE_S)
                return view
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(f"instance {instance_id} has not ended within {within_s:g} s") from error

    async def approve(
        self,
        instance_id: str,
        *,
        step: str | None = None,
        comment: str | None = None,
        form: dict[str, Any] | None = None,
    ) -> InstanceView:
        """Approve the step that waits for a decision; `step` says which where several do.

        Repeated after an unknown outcome only if `step` is named: a repeat without one could decide the next step
        that waits. A repeat of a decision that stands is refused, with `after_unknown`.
        Raises: NotFound; Refused (403, 409, 422); Unavailable; OutcomeUnknown.
        """
        return await self._steer(instance_id, "_approve", DecisionBody(comment, form), step)

    async def reject(
        self,
        instance_id: str,
        *,
        step: str | None = None,
        comment: str | None = None,
        form: dict[str, Any] | None = None,
    ) -> InstanceView:
        """Reject the step that waits for a decision, which fails it. Repeated and raises as `approve`."""
        return await self._steer(instance_id, "_reject", DecisionBody(comment, form), step)

    async def cancel(self, instance_id: str, *, reason: str | None = None) -> InstanceView:
        """Cancel an instance: it is undone as its definition says, and may be `cancelling` for a while.

        Repeated after an unknown outcome: cancelling a cancelled instance changes nothing.

        Raises: NotFound; Refused (409: it has ended otherwise); Unavailable; OutcomeUnknown.
        """
        return await self._steer(instance_id, "_cancel", ReasonBody(reason), None, repeatable=True)

    async def terminate(self, instance_id: str, *, reason: str | None = None) -> InstanceView:
        """End an instance at once, without undoing anything. Repeated and raises as `cancel`."""
        return await self._steer(instance_id, "_terminate", ReasonBody(reason), None, repeatable=True)

    async def signal(self, instance_id: str, name: str, payload: Any = None) -> InstanceView:
        """Send a signal to whoever waits for it; it is kept where nobody does yet.

        Not repeated after an unknown outcome: each sending is a signal of its own.
        Raises: NotFound; Refused (409: it has ended; 413: the payload is too large; 429: too many are kept);
        Unavailable; OutcomeUnknown.
        """
        action = f"_signal/{_segment(name)}"
        return await self._steer(instance_id, action, SignalBody(payload), None, repeatable=False)

    async def pause(self, instance_id: str, *, reason: str | None = None) -> InstanceView:
        """Let nothing of an instance be claimed; attempts in progress go on. Repeated and raises as `cancel`."""
        return await self._steer(instance_id, "_pause", ReasonBody(reason), None, repeatable=True)

    async def resume(self, instance_id: str, *, reason: str | None = None) -> InstanceView:
        """End a pause. Repeated and raises as `cancel`."""
        return await self._steer(instance_id, "_resume", ReasonBody(reason), None, repeatable=True)

    async def skip(self, instance_id: str, step: str, *, reason: str | None = None) -> InstanceView:
        """Skip a step, by its run path: it counts as done without a result. Repeated and raises as `cancel`."""
        return await self._steer(instance_id, "_skip", ReasonBody(reason), step, repeatable=True)

    async def retry(
        self,
        instance_id: str,
        *,
        step: str | None = None,
        from_start: bool = False,
        params: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> InstanceView:
        """Do the failed steps again, or one step and what follows, or everything; also brings an ended instance back.

        `params` change single params. Not repeated after an unknown outcome: look at the instance first.
        Raises: NotFound; Refused (409: nothing has failed, or it has succeeded; 422: the params do not fit);
        Unavailable; OutcomeUnknown.
        """
        body = RetryBody(step, from_start, None if params is None else dict(params), reason)
        return await self._steer(instance_id, "_retry", body, None, repeatable=False)

    async def put_definition(self, name: str, source: str | bytes) -> DefinitionStored:
        """Store a definition's version (YAML) and make it the active one.

        Repeated after an unknown outcome: a version never changes, and storing the same content again is a success.
        Raises: Refused (409: other content under that version; 422: `problem.violations` say where it is wrong);
        Unavailable; OutcomeUnknown.
        """
        body = source.encode() if isinstance(source, str) else source
        path = f"/_workflows/{_segment(name)}"
        outgoing = Outgoing("PUT", path, repeatable=True, body=body, content_type="application/yaml")
        return decoded(await self._send(outgoing), DefinitionStored)

    async def _report(self, step: str | ClaimedStep, action: str, body: Struct | None, kind: type[T]) -> T:
        step_id = step if isinstance(step, str) else step.step_id
        outgoing = Outgoing(
            "POST",
            f"/_workflows/_steps/{_segment(step_id)}/{action}",
            repeatable=True,
            body=None if body is None else msgspec.json.encode(body),
        )
        return decoded(await self._send(outgoing), kind)

    async def _steer(
        self, instance_id: str, action: str, body: Struct, step: str | None, *, repeatable: bool | None = None
    ) -> InstanceView:
        outgoing = Outgoing(
            "POST",
            f"/_workflows/_instances/{_segment(instance_id)}/{action}",
            repeatable=step is not None if repeatable is None else repeatable,
            query={} if step is None else {"step": step},
            body=msgspec.json.encode(body),
        )
        return decoded(await self._send(outgoing), InstanceView)

    async def _send(
        self, outgoing: Outgoing, *, answer_within_s: float | None = None, give_up_after_s: float | None = None
    ) -> Answered:
        return await self._caller.send(
            outgoing,
            answer_within_s=self._answer_within_s if answer_within_s is None else answer_within_s,
            give_up_after_s=self._give_up_after_s if give_up_after_s is None else give_up_after_s,
        )


def _addresses(servers: str | Sequence[str]) -> list[str]:
    """Raises: ValueError for anything but http(s) addresses, each once and without a query or credentials."""
    given = servers.split(",") if isinstance(servers, str) else servers
    found = list(dict.fromkeys(url.strip().rstrip("/") for url in given if url.strip()))
    for url in found:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"the server address is {url!r}; write http://host:port or https://host:port")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a server address holds credentials; pass a token instead")
    return found


def _headers(tenant: str | None, space: str | None, token: str | None) -> dict[str, str]:
    values = {
        "X-Leasehold-Tenant": tenant,
        "X-Leasehold-Space": space,
        "Authorization": None if token is None else f"Bearer {token}",
    }
    return {name: value for name, value in values.items() if value is not None}


def _start_headers(idempotency_key: str | None, traceparent: str | None) -> dict[str, str]:
    values = {"Idempotency-Key": idempotency_key, "traceparent": traceparent}
    return {name: value for name, value in values.items() if value is not None}


def _segment(text: str) -> str:
    """`text` as one segment of a path, dots included: `..` must not climb."""
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="~:")
