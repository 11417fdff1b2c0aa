"""The role that claims as many steps as it can get, and completes them, as executors without any work would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from time import monotonic, monotonic_ns, process_time_ns, time_ns

import msgspec
from msgspec import Struct

from ..http1 import Answer, ConnectionLost
from .conversations import Conversation, converse
from .orders import CompleteAll, Completed, Execute, Executed, ExecutorSetup

_OK = 200
_NOTHING = 204
_PAUSE_S = 0.05
_COMPLETION = b'{"result":{"ok":true}}'
_REPORT = b'{"step_id":"%b","action":"complete","complete":{"result":{"ok":true}}}'


class _Payload(Struct):
    n: int
    due_ms: int = 0


class _Step(Struct):
    """What is read of a claimed step."""

    step_id: str
    run_path: str
    payload: _Payload


class _Steps(Struct):
    steps: list[_Step]


class _Result(Struct):
    code: int


class _Results(Struct):
    results: list[_Result]


_step = msgspec.json.Decoder(_Step)
_steps = msgspec.json.Decoder(_Steps)
_results = msgspec.json.Decoder(_Results)


class Executor:
    """All its connections claim at once, until the order's steps are claimed (and completed)."""

    def __init__(self, setup: ExecutorSetup) -> None:
        self._setup = setup
        self._held: list[_Step] = []
        most = "" if setup.single else f"&max={setup.max_steps}"
        target = f"?capability={setup.capability}&lease={setup.lease_ms}ms&wait={setup.wait_ms}ms{most}"
        self._claim = setup.scheduler.request("POST", f"/_workflows/_steps/_claim{target}", headers=_headers(setup))

    def perform(self, order: Execute | CompleteAll) -> Executed | Completed:
        return self._execute(order) if isinstance(order, Execute) else self._complete_all(order)

    def _execute(self, order: Execute) -> Executed:
        reporting = _Reporting(self._setup)
        run = _Executing(self._setup, self._claim, order, reporting)
        cpu_ns, began_ns = process_time_ns(), monotonic_ns()
        conversations = [run.conversation() for _ in range(self._setup.connections)]
        until_s = monotonic() + order.within_s
        if order.sit_out:
            converse(self._setup.scheduler, conversations, until_s=until_s)
        else:
            # With everything claimed, nobody needs to sit the last long polls out.
            converse(self._setup.scheduler, conversations, until_s=until_s, enough=run.is_done)
        ended_ns, cpu_ns = monotonic_ns(), process_time_ns() - cpu_ns
        if not self._setup.completing:
            self._held += [step for steps in run.steps for step in steps]
        return Executed(
            began_ns,
            run.claimed_ns,
            reporting.completed_ns,
            ended_ns,
            cpu_ns,
            run.claimed(),
            run.claim_ns,
            reporting.completed,
            run.empty,
            run.failures,
            dict(reporting.refused),
            run.lags(),
        )

    def _complete_all(self, order: CompleteAll) -> Completed:
        reporting = _Reporting(self._setup)
        held, self._held = self._held, []
        batches = iter([held[at : at + order.batch] for at in range(0, len(held), order.batch)])
        began_ns = monotonic_ns()
        conversations = [reporting.conversation(batches) for _ in range(self._setup.connections)]
        converse(self._setup.scheduler, conversations, until_s=monotonic() + order.within_s)
        return Completed(began_ns, monotonic_ns(), reporting.completed, dict(reporting.refused))


class _Executing:
    """One order under way. Answers are decoded at once, since their leases are what is completed next."""

    def __init__(self, setup: ExecutorSetup, claim: bytes, order: Execute, reporting: _Reporting) -> None:
        self._setup = setup
        self._claim = claim
        self._left = order.steps
        self._leaving = order.sit_out
        self._reporting = reporting
        self.steps: list[list[_Step]] = []
        self.claimed_ns = 0
        self.claim_ns: list[int] = []
        self._arrived_ns: list[int] = []
        self.empty = 0
        self.failures = 0

    def is_done(self) -> bool:
        return self._left <= 0 and not self._reporting.in_flight

    def claimed(self) -> dict[str, list[int]]:
        by_path: dict[str, list[int]] = {}
        for steps in self.steps:
            for step in steps:
                by_path.setdefault(step.run_path, []).append(step.payload.n)
        return by_path

    def lags(self) -> list[int]:
        """How much later than they were due the steps arrived. Takes the clocks' difference as it is now."""
        ahead_ns = time_ns() - monotonic_ns()
        return [
            arrived_ns + ahead_ns - step.payload.due_ms * 1_000_000
            for arrived_ns, steps in zip(self._arrived_ns, self.steps, strict=True)
            for step in steps
            if step.payload.due_ms
        ]

    def conversation(self) -> Conversation:
        while self._left > 0:
            try:
                answer = yield self._claim
            except ConnectionLost:
                self.failures += 1
                yield _PAUSE_S
                continue
            steps = self._read(answer)
            if steps is None:
                yield _PAUSE_S
            elif steps and self._setup.completing:
                yield from self._reporting.completion(steps)
            elif not steps and self._leaving:
                return

    def _read(self, answer: Answer) -> list[_Step] | None:
        """The steps that a claim brought; None when it failed."""
        if answer.status not in (_OK, _NOTHING):
            self.failures += 1
            return None
        steps: list[_Step] = []
        if answer.status == _OK:
            steps = [_step.decode(answer.body)] if self._setup.single else _steps.decode(answer.body).steps
        if not steps:
            self.empty += 1
            return steps
        self._left -= len(steps)
        self.steps.append(steps)
        self.claim_ns.append(answer.arrived_ns - answer.sent_ns)
        self.claimed_ns = answer.arrived_ns
        self._arrived_ns.append(answer.arrived_ns)
        return steps


class _Reporting:
    """Completions, and what came of them."""

    def __init__(self, setup: ExecutorSetup) -> None:
        self._address = setup.scheduler
        self._headers = _headers(setup)
        self._single = setup.single
        self.completed = 0
        self.completed_ns = 0
        self.in_flight = 0
        self.refused: Counter[int] = Counter()

    def conversation(self, batches: Iterator[list[_Step]]) -> Conversation:
        for steps in batches:
            yield from self.completion(steps)

    def completion(self, steps: list[_Step]) -> Conversation:
        """One request; a connection that is lost leaves its completions refused, under code 0."""
        self.in_flight += 1
        try:
            answer = yield self._request(steps)
        except ConnectionLost:
            self.refused[0] += len(steps)
            return
        finally:
            self.in_flight -= 1
        self.completed_ns = answer.arrived_ns
        codes = Counter({answer.status: len(steps)})
        if answer.status == _OK and not self._single:
            codes = Counter(result.code for result in _results.decode(answer.body).results)
        self.completed += codes.pop(_OK, 0)
        self.refused.update(codes)

    def _request(self, steps: list[_Step]) -> bytes:
        if self._single:
            target, body = f"/_workflows/_steps/{steps[0].step_id}/_complete", _COMPLETION
        else:
            reports = b",".join(_REPORT % step.step_id.encode() for step in steps)
            target, body = "/_workflows/_steps/_bulk", b'{"reports":[%b]}' % reports
        return self._address.request("POST", target, body, headers=self._headers)


def _headers(setup: ExecutorSetup) -> tuple[str, ...]:
    return () if setup.tenant is None else (f"X-Leasehold-Tenant: {setup.tenant}",)
