"""Recorded events through the machine: under one version, or under two side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ...definitions.plan import Plan
from ..machine import AnyEvent, Instance, Transition, next_wake_ms
from ..machine.events import ChildWanted, Migrated
from .comparing import Unlike, followed, past, whole
from .recording import Recording
from .track import Track


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
    return _replayed(recording, Track(first, plan))


def compare(recording: Recording, own: Plan, other: Plan) -> Replayed:
    """Apply the events under both versions, to where the pasts part; the state returned is that under `other`."""
    recorded, replayed = Track(recording.first(own), own), Track(recording.first(other), other)
    if recording.missing:
        return Replayed(replayed.instance, 0, missing=recording.missing)
    return _compared(recording, recorded, replayed)


def _replayed(recording: Recording, track: Track) -> Replayed:
    inside: Difference | None = None
    for number, event in enumerate(recording.events, 1):
        if type(event) is Migrated:
            continue
        unlike, transition = _taken(track, event)
        if unlike is not None:
            return Replayed(track.instance, number - 1, _first(inside, _difference(recording, number, unlike)))
        for wanted, share in _shares(recording, transition):
            inside = _first(inside, _replayed(share, track.share(wanted, share.instance)).difference)
    number = len(recording.events)
    unlike = whole(recording.instance, track.instance)
    found = None if unlike is None else _difference(recording, number, unlike, at_end=True)
    return Replayed(track.instance, number, _first(inside, found))


def _compared(recording: Recording, recorded: Track, replayed: Track) -> Replayed:
    inside: Difference | None = None
    for number, event in enumerate(recording.events, 1):
        if type(event) is Migrated:
            continue
        late = _timer(recorded.instance, replayed.instance, event)
        own = recorded.take(event)
        unlike, other = _taken(replayed, event)
        unlike = late or unlike or _parting(recorded, replayed, event, own, other)
        if unlike is not None:
            return Replayed(replayed.instance, number - 1, _first(inside, _difference(recording, number, unlike)))
        for wanted, share in _shares(recording, own):
            left, right = recorded.share(wanted, share.instance), replayed.share(wanted, share.instance)
            inside = _first(inside, _compared(share, left, right).difference)
    return Replayed(replayed.instance, len(recording.events), inside)


def _shares(recording: Recording, transition: Transition) -> Iterator[tuple[ChildWanted, Recording]]:
    """The shares of foreach steps that begin with this event, as far as they are recorded."""
    for effect in transition.effects:
        if type(effect) is ChildWanted and effect.child.id in recording.shares:
            yield effect, recording.shares[effect.child.id]


def _first(one: Difference | None, other: Difference | None) -> Difference | None:
    """The earlier of two."""
    if one is None or other is None:
        return other if one is None else one
    return one if one.at_ms <= other.at_ms else other


def _parting(recorded: Track, replayed: Track, event: AnyEvent, own: Transition, other: Transition) -> Unlike | None:
    paths = dict.fromkeys((*recorded.changed(), *replayed.changed()))
    if (unlike := past(recorded.instance, replayed.instance, paths)) is not None:
        return unlike
    return followed(recorded.given(event, own), replayed.given(event, other))


def _taken(track: Track, event: AnyEvent) -> tuple[Unlike | None, Transition]:
    """Let the event happen, which did happen once: it may be refused now, change nothing, or make no sense at all."""
    try:
        transition = track.take(event)
    except Exception as error:  # noqa: BLE001  the machine's own checks, which no sound record runs into
        return Unlike("", "event", "applied", f"impossible: {error!r}"), Transition(track.instance)
    if transition.refused is not None:
        return Unlike("", "event", "applied", f"refused: {transition.refused.detail}"), transition
    if transition.instance is track.before:
        return Unlike("", "event", "applied", "without effect"), transition
    return None, transition


def _timer(recorded: Instance, replayed: Instance, event: AnyEvent) -> Unlike | None:
    """A timer that would have fired before the event, and did not."""
    due_ms, known_ms = next_wake_ms(replayed), next_wake_ms(recorded)
    if not 0 < due_ms < event.at_ms or 0 < known_ms <= due_ms:
        return None
    paths = (path for path, state in replayed.steps.items() if state.wake_at_ms == due_ms)
    return Unlike(next(paths, ""), "timer", known_ms or None, due_ms)


def _difference(recording: Recording, number: int, unlike: Unlike, *, at_end: bool = False) -> Difference:
    event = recording.events[number - 1] if number else None
    happened = "end" if at_end or event is None else str(type(event).__struct_config__.tag)
    at_ms = recording.instance.created_at_ms if event is None else event.at_ms
    return Difference(
        recording.instance.id, number, happened, at_ms, unlike.path, unlike.field, unlike.recorded, unlike.replayed
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


_SHOWN_CHARACTERS = 200
