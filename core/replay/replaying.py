"""Recorded events through the machine: under one version, or under two side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ...definitions.plan import Plan
from ...definitions.templates import TemplateError
from ..machine import AnyEvent, Claimed, Instance, Transition, advance, next_wake_ms, with_values
from .comparing import Unlike, consequences, followed, past, whole
from .recording import Recording


class Difference(Struct, frozen=True, omit_defaults=True):
    """Where a replay first went another way.

    `event` numbers the event from 1, `happened` is its kind, `at_ms` its time; after the last one `happened` is `end`.
    `path` is the step's run path, empty for the instance; `field` says what differs, `recorded` and `replayed` how.
    """

    instance_id: str
    event: int
    happened: str
    at_ms: int
    path: str
    field: str
    recorded: Any = None
    replayed: Any = None

    def __str__(self) -> str:
        what = f"{self.field} of step {self.path!r}" if self.path else self.field
        return (
            f"event {self.event} ({self.happened}): {what} was {_shown(self.recorded)}, "
            f"and is {_shown(self.replayed)} in the replay"
        )


class Replayed(Struct, frozen=True, omit_defaults=True):
    """How a replay went: the first `difference`, None when there is none, and the state that it led to.

    `missing`: what history no longer has; nothing was replayed then. `events` counts those applied.
    """

    instance: Instance
    events: int
    difference: Difference | None = None
    missing: list[str] = []

    @property
    def same(self) -> bool:
        """Whether the past is the same, as far as anything can be said."""
        return self.difference is None and not self.missing


def replay(recording: Recording, plan: Plan) -> Replayed:
    """Apply the events under the instance's own version; its last state is to come out of them."""
    first = recording.first(plan)
    if recording.missing:
        return Replayed(first, 0, missing=recording.missing)
    track = _Track(first, plan)
    for number, event in enumerate(recording.events, 1):
        transition = track.take(event)
        if (unlike := _refusal(transition, track.before)) is not None:
            return Replayed(track.instance, number - 1, _difference(first.id, number, event, unlike))
    last = whole(recording.instance, track.instance)
    number = len(recording.events)
    found = None if last is None else _at_end(recording, number, last)
    return Replayed(track.instance, number, found)


def compare(recording: Recording, own: Plan, other: Plan) -> Replayed:
    """Apply the events under both versions, to where the pasts part; the state returned is that under `other`."""
    recorded, replayed = _Track(recording.first(own), own), _Track(recording.first(other), other)
    if recording.missing:
        return Replayed(replayed.instance, 0, missing=recording.missing)
    for number, event in enumerate(recording.events, 1):
        unlike = _timer(recorded.instance, replayed.instance, event) or _parting(recorded, replayed, event)
        if unlike is not None:
            found = _difference(recording.instance.id, number, event, unlike)
            return Replayed(replayed.instance, number - 1, found)
    return Replayed(replayed.instance, len(recording.events))


class _Track:
    """An instance on its way through the events; `before` is what it was before the last one."""

    def __init__(self, first: Instance, plan: Plan) -> None:
        self.instance = self.before = first
        self.plan = plan

    def take(self, event: AnyEvent) -> Transition:
        self.before = self.instance
        transition = advance(self.instance, self.plan, event)
        self.instance = transition.instance
        return transition

    def changed(self) -> Iterator[str]:
        """The run paths of the steps that the last event changed, began or dropped."""
        before, now = self.before.steps, self.instance.steps
        if before is not now:
            yield from (path for path, state in now.items() if before.get(path) is not state)
            yield from (path for path in before if path not in now)

    def given(self, event: AnyEvent, transition: Transition) -> dict[str, Any]:
        """What the outside got to know of the event."""
        known = dict(consequences(transition.effects))
        if type(event) is Claimed and transition.refused is None:
            known[f"{event.path} with"] = self._with(event.path)
        return known

    def _with(self, path: str) -> Any:
        try:
            return with_values(self.instance, self.plan, path)
        except TemplateError as error:
            return str(error)


def _parting(recorded: _Track, replayed: _Track, event: AnyEvent) -> Unlike | None:
    own, other = recorded.take(event), replayed.take(event)
    if (unlike := _refusal(other, replayed.before)) is not None:
        return unlike
    paths = dict.fromkeys((*recorded.changed(), *replayed.changed()))
    if (unlike := past(recorded.instance, replayed.instance, paths)) is not None:
        return unlike
    return followed(recorded.given(event, own), replayed.given(event, other))


def _refusal(transition: Transition, before: Instance) -> Unlike | None:
    """What was applied once, and now is refused or changes nothing."""
    if transition.refused is not None:
        return Unlike("", "event", "applied", f"refused: {transition.refused.detail}")
    return Unlike("", "event", "applied", "without effect") if transition.instance is before else None


def _timer(recorded: Instance, replayed: Instance, event: AnyEvent) -> Unlike | None:
    """A timer that would have fired before the event, and did not."""
    due_ms, known_ms = next_wake_ms(replayed), next_wake_ms(recorded)
    if not 0 < due_ms < event.at_ms or 0 < known_ms <= due_ms:
        return None
    paths = (path for path, state in replayed.steps.items() if state.wake_at_ms == due_ms)
    return Unlike(next(paths, ""), "timer", known_ms or None, due_ms)


def _difference(instance_id: str, number: int, event: AnyEvent, unlike: Unlike) -> Difference:
    happened = str(type(event).__struct_config__.tag)
    return Difference(
        instance_id, number, happened, event.at_ms, unlike.path, unlike.field, unlike.recorded, unlike.replayed
    )


def _at_end(recording: Recording, number: int, unlike: Unlike) -> Difference:
    at_ms = recording.events[-1].at_ms if recording.events else recording.instance.created_at_ms
    return Difference(
        recording.instance.id, number, "end", at_ms, unlike.path, unlike.field, unlike.recorded, unlike.replayed
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


_SHOWN_CHARACTERS = 200
