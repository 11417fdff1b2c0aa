"""What is known of an instance's past, put together from what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...claim.wire import Usage
from ...definitions.plan import Plan
from ..machine import AnyEvent, Claimed, Completed, Instance, InstanceStatus, Released, StepState, StepStatus
from ..machine.events import Admitted, RetryRequested


class Recording(Struct, frozen=True, omit_defaults=True):
    """An instance's past. `instance` is its last known state, side values in full; `events` are all before that.

    `shares` holds the events of the children of its foreach steps, by their ids. `missing` names what history no longer
    has: without it nothing can be said.
    """

    instance: Instance
    events: list[AnyEvent]
    shares: dict[str, list[AnyEvent]] = {}
    missing: list[str] = []

    def first(self, plan: Plan) -> Instance:
        """What the instance was before its first event, had it been started with this plan."""
        last = self.instance
        retries = [event for event in self.events if type(event) is RetryRequested]
        return replace(
            last,
            version=plan.version,
            status=InstanceStatus.RUNNING,
            deadline_ms=self._deadline_ms(plan, brought_back=bool(retries)),
            finished_at_ms=0,
            tokens=0,
            steps=dict.fromkeys(plan.main.names, StepState()),
            outputs=None,
            error=None,
            usage=Usage(),
            attempts=0,
            vars={},
            signals={},
            inbox=(),
            remembered={},
            ending=None,
            undone="",
            queued=any(type(event) is Admitted for event in self.events) or last.queued,
            redrives=0,
        )

    def _deadline_ms(self, plan: Plan, *, brought_back: bool) -> int:
        """The deadline at the start: that of the plan, or the earlier one of a parent."""
        last = self.instance
        own_ms = last.created_at_ms + plan.max_duration_ms if plan.max_duration_ms else 0
        if last.version == plan.version and not brought_back:
            return last.deadline_ms
        return own_ms


class Wanted(Struct, frozen=True):
    """A result that the state does not hold any more: that of one attempt, which its row in history has."""

    path: str
    attempt: int


def missing_outputs(instance: Instance, events: Iterable[AnyEvent]) -> list[Wanted]:
    """The results that `restore` needs from the rows of attempts."""
    return [wanted for event, wanted in _attempts(events) if not _holds(instance, event)]


def restore(
    instance: Instance,
    events: Sequence[AnyEvent],
    outputs: Mapping[Wanted, Any],
    shares: Mapping[str, list[AnyEvent]] | None = None,
) -> Recording:
    """The recording of an instance, from its state, its log, and the `outputs` that the state does not hold.

    An output that is wanted and not there is a gap, which the recording names.
    """
    missing: list[str] = []
    results: dict[int, Any] = {}
    for event, wanted in _attempts(events):
        if _holds(instance, event):
            results[id(event)] = instance.steps[event.path].result
        elif wanted in outputs:
            results[id(event)] = outputs[wanted]
        else:
            missing.append(f"the result of attempt {wanted.attempt} of step {wanted.path!r}")
    restored = [replace(event, result=results[id(event)]) if id(event) in results else event for event in events]
    return Recording(instance, restored, dict(shares or {}), missing)


def decoded(entries: Iterable[bytes | msgspec.Raw]) -> list[AnyEvent]:
    """The events of a log as it is stored. Raises: msgspec.ValidationError for what is no event."""
    return [_decoder.decode(entry) for entry in entries]


_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def _attempts(events: Iterable[AnyEvent]) -> Iterable[tuple[Completed, Wanted]]:
    """Every completion, with the number of its attempt: claims of its step are counted, less what was released."""
    attempts: dict[str, int] = {}
    for event in events:
        if type(event) is Claimed:
            attempts[event.path] = attempts.get(event.path, 0) + 1
        elif type(event) is Released:
            attempts[event.path] -= 1
        elif type(event) is Completed:
            yield event, Wanted(event.path, attempts.get(event.path, 0))


def _holds(instance: Instance, event: Completed) -> bool:
    state = instance.steps.get(event.path)
    return state is not None and state.status is StepStatus.SUCCEEDED and state.token == event.token
