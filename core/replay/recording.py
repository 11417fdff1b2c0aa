"""What is known of an instance's past, put together from what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...definitions.plan import Plan
from ..machine import AnyEvent, Completed, Instance, InstanceStatus, StepState, StepStatus, plain
from ..machine.children import child_id
from ..machine.events import Admitted, ChildEnded, RetryRequested

# What an instance has from its creation on, and what events change.
GIVEN = frozenset(
    {"id", "workflow", "version", "definition_tenant", "tenant", "space", "priority", "created_at_ms", "trigger"}
    | {"trigger_ref", "labels", "started_by", "correlation_id", "traceparent", "parent_id", "memory", "memory_ref"}
    | {"memory_at_ms", "memory_key", "group", "parent_path", "parent_number", "depth", "watched", "of", "items"}
    | {"outer", "outer_ref"}
)
CHANGING = frozenset(
    {"status", "deadline_ms", "finished_at_ms", "tokens", "steps", "inputs", "inputs_ref", "outputs", "outputs_ref"}
    | {"error", "usage", "attempts", "vars", "signals", "inbox", "queued_at_ms", "remembered", "ending", "undone"}
    | {"paused_by", "queued", "backlogged", "redrives", "renumbered", "earlier", "times"}
)


class Recording(Struct, frozen=True, omit_defaults=True):
    """An instance's past. `instance` is its last known state, side values in full; `events` are all before that.

    `shares` holds the recordings of the children of its foreach steps, by their ids; what these were given by their
    parent follows from it and may be left out. `missing` names what history no longer has: without it nothing can be
    said.
    """

    instance: Instance
    events: list[AnyEvent]
    shares: dict[str, Recording] = {}
    missing: list[str] = []

    def first(self, plan: Plan) -> Instance:
        """What the instance was before its first event, had it been started with this plan."""
        given = {name: getattr(self.instance, name) for name in GIVEN}
        given["version"] = plan.version
        return Instance(
            **given,
            deadline_ms=self._first_deadline_ms(plan),
            inputs=self._first_inputs(),
            steps=dict.fromkeys(plan.main.names, StepState()),
            queued=self._first_queued(),
            backlogged=self.instance.parent_id is None,
        )

    def _first_queued(self) -> bool:
        """Whether it had to wait for its turn at first: what came after a retry says nothing of that."""
        for event in self.events:
            if type(event) in (Admitted, RetryRequested):
                return type(event) is Admitted
        return self.instance.queued

    def _first_inputs(self) -> Any:
        """What it was started with, before any retry brought other inputs."""
        for event in self.events:
            if type(event) is RetryRequested and event.replaced is not None:
                return event.replaced
        return plain(self.instance.inputs)

    def _first_deadline_ms(self, plan: Plan) -> int:
        """What `max_duration` gave at the start; an instance that was brought back has got another since."""
        last = self.instance
        if last.version == plan.version and not last.redrives:
            return last.deadline_ms
        return last.created_at_ms + plan.max_duration_ms if plan.max_duration_ms else 0


class Wanted(Struct, frozen=True):
    """A result that the state does not hold any more: of an attempt, or what a child left (`attempt` is 0 then)."""

    path: str
    attempt: int
    child: str = ""

    def __str__(self) -> str:
        if self.child:
            return f"what child {self.child} of step {self.path!r} left"
        return f"the result of attempt {self.attempt} of step {self.path!r}"


def missing_outputs(instance: Instance, events: Iterable[AnyEvent]) -> list[Wanted]:
    """The results that `restore` needs from elsewhere: the rows of attempts, and those of children."""
    return [wanted for event, wanted in _results(events) if _held(instance, event) is _NOT_HELD]


def restore(
    instance: Instance,
    events: Sequence[AnyEvent],
    outputs: Mapping[Wanted, Any],
    shares: Mapping[str, Recording] | None = None,
) -> Recording:
    """The recording of an instance, from its state, its log, and the `outputs` that the state does not hold.

    An output that is wanted and not there is a gap, which the recording names.
    """
    missing = [gap for share in (shares or {}).values() for gap in share.missing]
    results: dict[int, Any] = {}
    for event, wanted in _results(events):
        held = _held(instance, event)
        if held is not _NOT_HELD:
            results[id(event)] = plain(held)
        elif wanted in outputs:
            results[id(event)] = outputs[wanted]
        else:
            missing.append(str(wanted))
    restored = [_with_result(event, results[id(event)]) if id(event) in results else event for event in events]
    return Recording(instance, _with_inputs(instance, restored), dict(shares or {}), missing)


def children_of(instance: Instance, events: Iterable[AnyEvent]) -> list[str]:
    """The ids of the child instances that have ended, or that are under way."""
    ended = [event.child for event in events if type(event) is ChildEnded]
    flows = (state.flow for state in instance.steps.values() if state.flow is not None)
    return list(dict.fromkeys([*ended, *(child.id for flow in flows for child in flow.children)]))


def decoded(entries: Iterable[bytes | msgspec.Raw]) -> list[AnyEvent]:
    """The events of a log as it is stored. Raises: msgspec.ValidationError for what is no event."""
    return [_decoder.decode(entry) for entry in entries]


_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_NOT_HELD = object()


def _results(events: Iterable[AnyEvent]) -> Iterator[tuple[Completed | ChildEnded, Wanted]]:
    """Every event that brought a result, and where else that is to be found."""
    for event in events:
        if type(event) is Completed:
            yield event, Wanted(event.path, event.attempt)
        elif type(event) is ChildEnded and (event.status == InstanceStatus.SUCCEEDED.value or event.result is not None):
            yield event, Wanted(event.path, 0, event.child)


def _with_result(event: AnyEvent, result: Any) -> AnyEvent:
    if type(event) is Completed:
        return replace(event, result=result, attempt=0)
    return replace(event, result=result)


def _held(instance: Instance, event: Completed | ChildEnded) -> Any:
    """The result as the state still holds it."""
    state = instance.steps.get(event.path)
    if state is None:
        return _NOT_HELD
    if isinstance(event, Completed):
        return state.result if state.status is StepStatus.SUCCEEDED and state.token == event.token else _NOT_HELD
    whole = state.status is StepStatus.SUCCEEDED and not state.parts
    if whole and event.child == child_id(instance.id, event.path, state.attempt):
        return state.result
    for number, part in state.parts.items():
        if event.child == child_id(instance.id, event.path, state.attempt, number):
            return part
    return _NOT_HELD


def _with_inputs(instance: Instance, events: list[AnyEvent]) -> list[AnyEvent]:
    """The inputs that a retry brought, where they were too large to stand in the log: the next retry replaced them."""
    inputs = plain(instance.inputs)
    for number in range(len(events) - 1, -1, -1):
        event = events[number]
        if type(event) is RetryRequested and event.replaced is not None:
            events[number] = replace(event, inputs=inputs)
            inputs = event.replaced
    return events
