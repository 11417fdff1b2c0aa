"""What an instance waits for that no time brings."""

from __future__ import annotations

from collections.abc import Iterator

from ...definitions.plan import StepPlan, WaitForSignal
from ..machine import InstanceStatus, StepState, StepStatus
from .lives import Life


def waits_for(life: Life) -> Iterator[str]:
    """One sentence for each thing that somebody would have to do."""
    instance = life.instance
    if instance.status is InstanceStatus.PAUSED:
        yield "the instance is paused; it goes on after run.resume()"
        return
    if instance.queued:
        yield f"the instance waits for a slot of its concurrency group {instance.group!r}; it starts after run.admit()"
    for path, state in instance.steps.items():
        sentence = _waits_for(path, state, life.plan.step(path))
        if sentence:
            yield sentence


def _waits_for(path: str, state: StepState, step: StepPlan) -> str | None:
    if state.status is StepStatus.READY:
        return f"step {path!r} is ready, and nobody has capability {step.executor!r}"
    if state.status is not StepStatus.WAITING:
        return None
    if state.approval is not None and state.approval.decision == "pending":
        return f"step {path!r} waits for an approval: run.approve({path!r}) gives it"
    if isinstance(step.flow, WaitForSignal):
        signal = step.flow.signal
        return f"step {path!r} waits for signal {signal!r}: run.signal({signal!r}, ...) sends it"
    return None
