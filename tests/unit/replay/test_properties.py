"""Over random definitions and random histories: a replay under its own version never differs; a mutation is found."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.core.lanes.event_log import log_entry
from leasehold.core.machine import AnyEvent, Completed, Heartbeat, Instance, InstanceStatus, Started
from leasehold.core.machine.events import ChildEnded, ChildReported, ChildWanted, PauseRequested, RetryRequested
from leasehold.core.replay import Recording, Wanted, compare, decoded, replay, restore
from leasehold.core.replay.track import Track
from leasehold.core.testing import NOBODY, NotApplied, Run, Stuck, Unknown, play
from leasehold.definitions import Definition, load
from msgspec.structs import replace

from .definitions import CHILD, AnyStub, Author


def loaded(definition: dict[str, Any]) -> Definition:
    return load(json.dumps(definition))[0]


def acted(run: Run, random: Random) -> None:
    """Something that a person, or time, does to the run."""
    paths = list(run.steps) or [""]
    path = paths[random.randrange(len(paths))]
    deeds: list[Callable[[], None]] = [
        lambda: run.advance(seconds=random.choice([1, 5, 40, 400, 8_000])),
        lambda: run.advance(seconds=random.choice([1, 5, 40, 400, 8_000])),
        lambda: run.advance(seconds=random.choice([1, 5, 40, 400, 8_000])),
        lambda: run.approve(path),
        lambda: run.approve(),
        lambda: run.reject(path),
        lambda: run.signal(random.choice(["go", "stop"]), {"n": 1}),
        run.pause,
        run.resume,
        run.resume,
        lambda: run.skip(path),
        lambda: run.retry(path),
        lambda: run.retry(from_start=random.random() < 0.5),
        lambda: run.retry(from_start=True, inputs={"other": random.randrange(5)}),
    ]
    if random.random() < 0.05:
        deeds = [run.cancel, run.terminate]
    with contextlib.suppress(NotApplied):
        deeds[random.randrange(len(deeds))]()


def lived(seed: int) -> tuple[Run, Definition]:
    """A run of a random definition, with all that random executors and people do to it."""
    random = Random(seed)
    definition = loaded(Author(random).definition())
    stub = AnyStub(random)
    executors = {"any": stub, "other": stub if random.random() < 0.9 else NOBODY}
    run = play(definition, executors=executors, workflows=[loaded(CHILD)], seed=seed, limit=20_000)
    for _ in range(random.randrange(25)):
        acted(run, random)
    if random.random() < 0.7:
        with contextlib.suppress(NotApplied):
            run.resume()
        with contextlib.suppress(Stuck):
            run.until_done()
    return run, definition


def through_json(recording: Recording) -> Recording:
    return msgspec.json.decode(msgspec.json.encode(recording), type=Recording)


def as_stored(recording: Recording, track: Track, rows: dict[Wanted, Any]) -> Recording:
    """The recording after a stay in the store: states without side values, logs without results, rows of attempts."""
    log: list[bytes] = []
    shares: dict[str, Recording] = {}
    left: dict[Wanted, Any] = {}
    for event in recording.events:
        log.append(log_entry(event, track.instance))
        if type(event) is ChildEnded:
            left[Wanted(event.path, 0, event.child)] = event.result
        for effect in track.take(event).effects:
            if type(effect) is ChildWanted and effect.child.id in recording.shares:
                share = recording.shares[effect.child.id]
                shares[effect.child.id] = as_stored(share, track.share(effect, share.instance), rows)
    instance = msgspec.json.decode(msgspec.json.encode(recording.instance), type=Instance)
    return restore(instance, decoded(log), {**rows, **left}, shares)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_replay_under_its_own_version_never_differs(seed: int) -> None:
    run, definition = lived(seed)
    plan, recording = definition.compile(), run.recording()
    replayed = replay(recording, plan)
    assert replayed.difference is None, str(replayed.difference)
    assert replayed.instance == run.instance
    compared = compare(recording, plan, plan)
    assert compared.difference is None, str(compared.difference)
    assert compared.instance == run.instance


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_so_does_one_of_what_is_stored(seed: int) -> None:
    run, definition = lived(seed)
    plan, recording = definition.compile(), run.recording()
    rows = {Wanted(attempt.path, attempt.number): attempt.output for attempt in run.attempts()}
    stored = through_json(as_stored(recording, Track(recording.first(plan), plan), rows))
    assert stored.missing == []
    replayed = replay(stored, plan)
    assert replayed.difference is None, str(replayed.difference)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_and_so_do_sub_workflows_under_theirs(seed: int) -> None:
    run, _ = lived(seed)
    for path in run.steps:
        try:
            child = run.child(path)
        except Unknown:
            continue
        replayed = replay(child.recording(), loaded(CHILD).compile())
        assert replayed.difference is None, str(replayed.difference)


# Without these an instance may well come to the same: a later report says all that one of them said, what follows a
# pause begins or ends all there is.
_MAY_LEAVE_NO_TRACE = (Heartbeat, ChildReported, Started, PauseRequested)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_missing_event_is_found(seed: int, chosen: int) -> None:
    run, definition = lived(seed)
    recording = run.recording()
    droppable = [number for number, event in enumerate(recording.events) if not isinstance(event, _MAY_LEAVE_NO_TRACE)]
    if droppable and not any(type(event) is RetryRequested for event in recording.events):
        number = droppable[chosen % len(droppable)]
        events = recording.events[:number] + recording.events[number + 1 :]
        assert replay(replace(recording, events=events), definition.compile()).difference is not None


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_an_altered_result_is_found(seed: int, chosen: int) -> None:
    run, definition = lived(seed)
    recording = run.recording()
    held = [number for number, event in enumerate(recording.events) if _is_held(run, event)]
    if held:
        number = held[chosen % len(held)]
        events = list(recording.events)
        events[number] = replace(events[number], result={"altered": True})
        assert replay(replace(recording, events=events), definition.compile()).difference is not None


def _is_held(run: Run, event: AnyEvent) -> bool:
    """Whether the instance still has the result that this event brought."""
    if type(event) is not Completed:
        return False
    state = run.instance.steps.get(event.path)
    return state is not None and state.status == "succeeded" and state.token == event.token


@pytest.mark.slow
def test_random_runs_do_all_that_can_be_done() -> None:
    """Guards the runs themselves: what they never do, they do not check."""
    kinds: set[str] = set()
    statuses: set[str] = set()
    for seed in range(300):
        run, _ = lived(seed)
        kinds |= {str(type(event).__struct_config__.tag) for event in run.events}
        statuses.add(run.status)
    assert kinds >= {
        *("started", "claimed", "heartbeat", "completed", "failed", "released", "lease_expired", "timer", "decided"),
        *("cancel", "terminate", "pause", "resume", "skip", "retry", "signal", "child_reported", "child_ended"),
    }
    assert statuses == set(InstanceStatus)
