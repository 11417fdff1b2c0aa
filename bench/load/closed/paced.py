"""The role of executors whose work takes time: always the same, so that tenants' claims cost all the same."""

from __future__ import annotations

from time import monotonic_ns, process_time_ns

from ..http1 import ConnectionLost
from .conversations import Conversation, converse
from .orders import Batch, PacedSetup, Worked, WorkUntil
from .steps import NOTHING, OK, Reporting, claim_request, steps_of

_PAUSE_S = 0.05
# For how much longer completions may take, and claims that wait.
_LAST_S = 10.0


class PacedExecutor:
    """All its connections claim, work and complete until the order's end."""

    def __init__(self, setup: PacedSetup) -> None:
        self._setup = setup
        self._claim = claim_request(
            setup.scheduler,
            setup.capability,
            setup.tenant,
            max_steps=setup.max_steps,
            lease_ms=setup.lease_ms,
            wait_ms=setup.wait_ms,
        )
        self._batches: list[Batch] = []
        self._failures = 0

    def perform(self, order: WorkUntil) -> Worked:
        self._batches, self._failures = [], 0
        reporting = Reporting(self._setup.scheduler, self._setup.tenant, single=False)
        cpu_ns = process_time_ns()
        conversations = [self._conversation(order.until_ns, reporting) for _ in range(self._setup.connections)]
        converse(self._setup.scheduler, conversations, until_s=order.until_ns / 1e9 + _LAST_S)
        return Worked(self._batches, self._failures, dict(reporting.refused), process_time_ns() - cpu_ns)

    def _conversation(self, until_ns: int, reporting: Reporting) -> Conversation:
        while monotonic_ns() < until_ns:
            try:
                answer = yield self._claim
            except ConnectionLost:
                self._failures += 1
                yield _PAUSE_S
                continue
            if answer.status not in (OK, NOTHING):
                self._failures += 1
                yield _PAUSE_S
            steps = steps_of(answer.body, single=False) if answer.status == OK else []
            if not steps:
                continue
            yield self._setup.executor_ms / 1_000
            # Whatever the answer, the executor holds the steps at least until it sends this.
            sent_ns = monotonic_ns()
            completed = yield from reporting.completion(steps)
            answered_ns = 0 if completed is None else completed.arrived_ns
            numbers = [step.payload.n for step in steps]
            self._batches.append(Batch(numbers, answer.arrived_ns, sent_ns, answered_ns))
