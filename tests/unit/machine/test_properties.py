from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from leasehold.core.machine import STEP_MOVES, AnyEvent, Instance, advance
from leasehold.core.machine.table import CANCEL, TEMPLATE

from .runs import Run
from .walks import Walk, random_plan


def random_walk(random: Random, steps: int = 60) -> Walk:
    walk = Walk(random_plan(random.randrange), random.randrange)
    walk.go(steps)
    return walk


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_invariants_hold_over_any_plan_and_any_events(data: st.DataObject) -> None:
    def pick(below: int) -> int:
        return data.draw(st.integers(0, below - 1))

    Walk(random_plan(pick), pick).go(data.draw(st.integers(0, 25)))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_invariants_hold_over_long_runs(seed: int) -> None:
    random_walk(Random(seed))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_a_replay_of_the_accepted_events_gives_the_identical_instance(seed: int) -> None:
    walk = random_walk(Random(seed))
    log = [msgspec.json.encode(event) for event in walk.accepted]
    instance = Run(walk.made_of, start=False, inputs={"n": 1}).instance
    for entry in log:
        stored = msgspec.json.decode(msgspec.json.encode(instance), type=Instance)
        event: AnyEvent = msgspec.json.decode(entry, type=AnyEvent)
        transition = advance(stored, walk.made_of, event)
        assert transition.refused is None
        instance = transition.instance
    assert instance == walk.run.instance
    assert msgspec.json.encode(instance) == msgspec.json.encode(walk.run.instance)


def test_random_walks_make_every_move_of_a_step_that_an_executor_runs() -> None:
    """Guards the walks themselves: what they never do, they do not check."""
    made: set[tuple[str, str]] = set()
    for seed in range(300):
        made |= random_walk(Random(seed)).moves
    of_executors = STEP_MOVES[: STEP_MOVES.index(TEMPLATE) + 1]
    declared = {(source.value, move.target.value) for move in (*of_executors, CANCEL) for source in move.sources}
    # To the first leads only an input that rendered once and no longer does, and the walks templates are functions; the
    # second is that of a sub-workflow.
    assert declared - made == {("backing_off", "failed"), ("waiting", "backing_off")}
