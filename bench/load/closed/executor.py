"""The role that claims as many steps as it can get, and completes them, as executors without any work would."""

from __future__ import annotations

from collections import Counter
from time import monotonic, monotonic_ns, process_time_ns

import msgspec
from msgspec import Struct

from ..http1 import Answer, ConnectionLost
from .conversations import Conversation, converse
from .orders import Execute, Executed, ExecutorSetup

_OK = 200
_NOTHING = 204
_PAUSE_S = 0.05
_COMPLETION = b'{"result":{"ok":true}}'
_REPORT = b'{"step_id":"%b","action":"complete","complete":{"result":{"ok":true}}}'


class _Payload(Struct):
    n: int


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
        most = "" if setup.single else f"&max={setup.max_steps}"
        target = f"?capability={setup.capability}&lease={setup.lease_ms}ms&wait={setup.wait_ms}ms{most}"
        headers = () if setup.tenant is None else (f"X-Leasehold-Tenant: {setup.tenant}",)
        self._claim = setup.scheduler.request("POST", f"/_workflows/_steps/_claim{target}", headers=headers)

    def perform(self, order: Execute) -> Executed:
        run = _Executing(self._setup, self._claim, order.steps)
        cpu_ns, began_ns = process_time_ns(), monotonic_ns()
        conversations = [run.conversation() for _ in range(self._setup.connections)]
        converse(self._setup.scheduler, conversations, until_s=monotonic() + order.within_s)
        ended_ns, cpu_ns = monotonic_ns(), process_time_ns() - cpu_ns
        return Executed(
            began_ns,
            run.claimed_ns,
            ended_ns,
            cpu_ns,
            run.claimed(),
            run.claim_ns,
            run.completed,
            run.empty,
            run.failures,
            dict(run.refused),
        )


class _Executing:
    """One order under way. Without completions, answers are kept as they came and read when the work is done."""

    def __init__(self, setup: ExecutorSetup, claim: bytes, steps: int) -> None:
        self._setup = setup
        self._claim = claim
        self._left = steps
        self._steps: list[list[_Step]] = []
        self.claimed_ns = 0
        self.claim_ns: list[int] = []
        self.completed = 0
        self.empty = 0
        self.failures = 0
        self.refused: Counter[int] = Counter()

    def claimed(self) -> dict[str, list[int]]:
        by_path: dict[str, list[int]] = {}
        for steps in self._steps:
            for step in steps:
                by_path.setdefault(step.run_path, []).append(step.payload.n)
        return by_path

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
                yield from self._complete(steps)

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
        self._steps.append(steps)
        self.claim_ns.append(answer.arrived_ns - answer.sent_ns)
        self.claimed_ns = answer.arrived_ns
        return steps

    def _complete(self, steps: list[_Step]) -> Conversation:
        address = self._setup.scheduler
        if self._setup.single:
            target, body = f"/_workflows/_steps/{steps[0].step_id}/_complete", _COMPLETION
        else:
            reports = b",".join(_REPORT % step.step_id.encode() for step in steps)
            target, body = "/_workflows/_steps/_bulk", b'{"reports":[%b]}' % reports
        try:
            answer = yield address.request("POST", target, body)
        except ConnectionLost:
            self.refused[0] += len(steps)
            return
        codes = Counter({answer.status: len(steps)})
        if answer.status == _OK and not self._setup.single:
            codes = Counter(result.code for result in _results.decode(answer.body).results)
        self.completed += codes.pop(_OK, 0)
        self.refused.update(codes)
