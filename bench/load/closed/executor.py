"""The role that claims as many steps as it can get, and completes them, as executors without any work would."""

from __future__ import annotations

from time import monotonic, monotonic_ns, process_time_ns, time_ns

from ..http1 import Answer, ConnectionLost
from .conversations import Conversation, converse
from .orders import CompleteAll, Completed, Execute, Executed, ExecutorSetup
from .steps import NOTHING, OK, Reporting, Step, claim_request, steps_of

_PAUSE_S = 0.05


class Executor:
    """All its connections claim at once, until the order's steps are claimed (and completed)."""

    def __init__(self, setup: ExecutorSetup) -> None:
        self._setup = setup
        self._held: list[Step] = []
        self._claim = claim_request(
            setup.scheduler,
            setup.capability,
            setup.tenant,
            max_steps=None if setup.single else setup.max_steps,
            lease_ms=setup.lease_ms,
            wait_ms=setup.wait_ms,
        )

    def perform(self, order: Execute | CompleteAll) -> Executed | Completed:
        return self._execute(order) if isinstance(order, Execute) else self._complete_all(order)

    def _execute(self, order: Execute) -> Executed:
        reporting = self._reporting()
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
        reporting = self._reporting()
        held, self._held = self._held, []
        batches = iter([held[at : at + order.batch] for at in range(0, len(held), order.batch)])
        began_ns = monotonic_ns()
        conversations = [reporting.conversation(batches) for _ in range(self._setup.connections)]
        converse(self._setup.scheduler, conversations, until_s=monotonic() + order.within_s)
        return Completed(began_ns, monotonic_ns(), reporting.completed, dict(reporting.refused))

    def _reporting(self) -> Reporting:
        return Reporting(self._setup.scheduler, self._setup.tenant, single=self._setup.single)


class _Executing:
    """One order under way. Answers are decoded at once, since their leases are what is completed next."""

    def __init__(self, setup: ExecutorSetup, claim: bytes, order: Execute, reporting: Reporting) -> None:
        self._setup = setup
        self._claim = claim
        self._left = order.steps
        self._leaving = order.sit_out
        self._reporting = reporting
        self.steps: list[list[Step]] = []
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

    def _read(self, answer: Answer) -> list[Step] | None:
        """The steps that a claim brought; None when it failed."""
        if answer.status not in (OK, NOTHING):
            self.failures += 1
            return None
        steps: list[Step] = []
        if answer.status == OK:
            steps = steps_of(answer.body, single=self._setup.single)
        if not steps:
            self.empty += 1
            return steps
        self._left -= len(steps)
        self.steps.append(steps)
        self.claim_ns.append(answer.arrived_ns - answer.sent_ns)
        self.claimed_ns = answer.arrived_ns
        self._arrived_ns.append(answer.arrived_ns)
        return steps
