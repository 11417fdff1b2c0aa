"""Where an instance's time went: queues, executors, waits, and people."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from leasehold.core.machine import FINAL_INSTANCE, Instance, InstanceStatus, advance
from leasehold.core.machine.attempts.activation import waits_for_approval
from leasehold.core.machine.events import RetryRequested
from leasehold.core.machine.times import SPANS_KEPT, Times, Waits, none_asked, with_child
from leasehold.core.testing import NOBODY, Failure, NotApplied, Run, Stuck, Takes, play
from leasehold.core.testing.lives import Life
from leasehold.definitions import load
from msgspec.structs import replace

from ..replay.definitions import CHILD, AnyStub, Author
from ..replay.test_properties import acted

H = 3_600_000
ASKS = "{name: %s, executor: e, requires_approval: true%s}"


def played(*steps: str, **stubs: Any) -> Run:
    source = "name: asks\nsteps:\n" + "".join(f"  - {step}\n" for step in steps)
    return play(source, executors={"e": None, **stubs}, workflows=["name: sub\nsteps:\n  - " + ASKS % ("ask", "")])


def human_waits(run: Run) -> list[int]:
    return [attempt.human_wait_ms for attempt in run.attempts()]


def test_the_time_until_a_decision_is_the_attempts_and_the_instances() -> None:
    run = played(ASKS % ("a", ""), "{name: b, executor: slow}", slow=Takes("2h", None))
    run.advance(hours=3)
    assert run.instance.times.waits.human_ms == 0
    run.approve("a")
    run.until_done()
    assert (run.elapsed_ms, run.instance.times.waits.human_ms) == (5 * H, 3 * H)
    assert human_waits(run) == [3 * H, 0]
    assert (run.instance.times.queue_ms, run.instance.times.run_ms) == (0, 2 * H)


def test_a_retry_after_an_approval_was_not_waited_for_again() -> None:
    run = played(
        "{name: a, executor: once, requires_approval: true, retry: {max: 2, initial: 1h, jitter: none}}",
        once=[Failure("x"), None],
    )
    run.advance(hours=1)
    run.approve()
    run.until_done()
    assert human_waits(run) == [H, 0]
    assert run.instance.times.waits.human_ms == H


def test_a_step_that_is_done_again_is_asked_for_again() -> None:
    run = played(ASKS % ("a", ""), "{name: b, executor: x}", x=[Failure("x"), None])
    run.advance(hours=1)
    run.approve()
    assert run.status == "failed"
    run.advance(hours=5)
    run.retry("a")
    run.advance(hours=2)
    run.approve()
    assert run.status == "succeeded"
    assert human_waits(run) == [H, 0, 2 * H, 0]
    assert (run.elapsed_ms, run.instance.times.waits.human_ms) == (8 * H, 3 * H)


def test_decisions_that_are_open_at_once_are_waited_for_once() -> None:
    run = played(ASKS % ("a", ", depends_on: []"), ASKS % ("b", ", depends_on: []"))
    run.advance(hours=1)
    run.approve("a")
    run.advance(hours=2)
    run.approve("b")
    assert human_waits(run) == [H, 3 * H]
    assert run.instance.times.waits.human_ms == 3 * H


@pytest.mark.parametrize("how", ["reject", "cancel", "terminate", "skip", "time out"])
def test_the_wait_is_over_however_the_decision_closes(how: str) -> None:
    run = played(ASKS % ("a", ", approval_timeout: 2h"), "{name: b, executor: e}")
    run.advance(hours=1)
    match how:
        case "reject":
            run.reject("a")
        case "cancel":
            run.cancel()
        case "terminate":
            run.terminate()
        case "skip":
            run.skip("a")
        case _:
            run.advance(hours=1)
    assert run.instance.status in FINAL_INSTANCE
    assert run.instance.times.waits.human_ms == run.elapsed_ms == (2 if how == "time out" else 1) * H


def test_a_pause_meanwhile_is_part_of_the_wait() -> None:
    run = played(ASKS % ("a", ""))
    run.pause()
    run.advance(hours=1)
    run.approve("a")
    run.advance(hours=1)
    run.resume()
    assert (run.status, run.instance.times.waits.human_ms) == ("succeeded", H)


def test_a_loop_whose_states_are_forgotten_has_counted_them() -> None:
    run = played(
        "{name: again, while: '{{ steps.ask.result is none or steps.ask.result < 100 }}', max_iterations: 100, "
        "steps: [{name: ask, executor: counts, requires_approval: true}]}",
        counts=[Takes("1m", number) for number in range(1, 101)],
    )
    for _ in range(100):
        run.advance(hours=1)
        run.approve()
        run.advance(minutes=1)
    assert run.status == "succeeded"
    assert run.instance.times.waits.human_ms == 100 * H
    assert len(run.instance.times.waits.asked) == SPANS_KEPT
    assert run.instance.times.run_ms == 100 * 60_000
    assert sum(human_waits(run)) == 100 * H


def test_children_count_for_their_parent_once_each_moment() -> None:
    run = played(
        "{name: each, foreach: [1, 2, 3, 4], max_parallel: 4, depends_on: [], steps: [" + ASKS % ("ask", "") + "]}",
        "{name: sub, workflow: sub, depends_on: []}",
    )
    run.advance(hours=1)
    run.child("sub").approve()
    for item in range(4):
        run.advance(hours=1)
        run.approve(f"each[{item}].ask")
    assert run.status == "succeeded"
    assert run.instance.times.waits.human_ms == run.elapsed_ms == 5 * H
    assert sum(human_waits(run)) == (2 + 3 + 4 + 5) * H  # the sub-workflow has rows of its own


def test_timers_and_signals_are_waits_but_not_for_people() -> None:
    run = played(
        "{name: a, wait: 2h, depends_on: []}",
        "{name: b, wait_for_signal: go, depends_on: []}",
        "{name: c, wait_for_signal: no, timeout: 4h, on_timeout: continue, depends_on: []}",
    )
    run.advance(hours=1)
    run.signal("go", None)
    run.until_done()
    times = run.instance.times
    assert (run.elapsed_ms, times.waits.wait_ms, times.waits.human_ms) == (4 * H, 7 * H, 0)


@pytest.mark.parametrize("how", ["cancel", "skip", "retry"])
def test_a_wait_that_is_cut_short_took_until_then(how: str) -> None:
    run = played("{name: a, wait: 2h}")
    run.advance(hours=1)
    if how == "cancel":
        run.cancel()
    elif how == "skip":
        run.skip("a")
    else:
        run.retry("a")
        run.until_done()
    assert run.instance.times.waits.wait_ms == run.elapsed_ms == (3 if how == "retry" else 1) * H


def test_time_in_the_queue_is_that_of_attempts_that_were_claimed() -> None:
    run = played("{name: a, executor: late}", "{name: b, executor: e}", late=Failure("x"))
    assert run.instance.times == Times()
    source = "name: late\nsteps:\n  - {name: a, executor: late}\n"
    run = play(source, executors={"late": NOBODY})
    run.advance(hours=1)
    run.provide("late", Takes("2h", None))
    run.until_done()
    assert run.instance.times == Times(queue_ms=H, run_ms=2 * H)


def often_asked() -> Waits:
    waits = Waits()
    for number in range(200):
        waits = none_asked(replace(waits, asked_since_ms=1_000 * number + 1), 1_000 * number + 101)
    return waits


def test_many_waits_are_joined_where_they_are_closest_and_none_is_lost() -> None:
    waits = often_asked()
    assert (len(waits.asked), waits.human_ms) == (SPANS_KEPT, 20_000)
    assert len(msgspec.json.encode(waits)) < 1_000


def test_of_children_whose_waits_were_joined_at_least_the_longest_counts() -> None:
    child = Times(waits=often_asked())
    both = with_child(with_child(Times(), child), child)
    assert both.waits.human_ms == child.waits.human_ms
    longest = Times(waits=Waits(asked=((1, 200_001),)))
    assert with_child(both, longest).waits.human_ms == 200_000


def test_a_clock_that_has_gone_back_takes_nothing_away() -> None:
    assert none_asked(Waits(asked_since_ms=5_000), 4_000) == Waits()


def test_a_state_of_an_earlier_release_has_no_times_and_goes_on() -> None:
    run = played(ASKS % ("a", ""))
    stored = msgspec.json.decode(msgspec.json.encode(run.instance))
    del stored["times"]
    assert msgspec.convert(stored, Instance).times == Times()
    assert "times" not in msgspec.json.decode(msgspec.json.encode(played("{name: a, wait: 1h}").instance))


# Any definition, whatever happens


def lived(seed: int) -> Run:
    random = Random(seed)
    definition = load(json.dumps(Author(random).definition()))[0]
    stub = AnyStub(random)
    child = load(json.dumps(CHILD))[0]
    run = play(definition, executors={"any": stub, "other": stub}, workflows=[child], seed=seed, limit=20_000)
    for _ in range(random.randrange(25)):
        acted(run, random)
    with contextlib.suppress(NotApplied):
        run.resume()
    with contextlib.suppress(Stuck):
        run.until_done()
    return run


def asked(life: Life) -> Iterator[tuple[int, int]]:
    """When a decision was open, by looking at the state after each event."""
    instance, since_ms = life.first, 0
    for event in life.events:
        if since_ms:
            yield since_ms, event.at_ms
        instance = advance(instance, life.plan, event).instance
        since_ms = event.at_ms if any(map(waits_for_approval, instance.steps.values())) else 0


def length(spans: Iterable[tuple[int, int]]) -> int:
    covered, until = 0, 0
    for begin, end in sorted(spans):
        covered += max(0, end - max(begin, until))
        until = max(until, end)
    return covered


def check(seed: int) -> int:
    run = lived(seed)
    own = run._life
    times, elapsed_ms = run.instance.times, run.instance.finished_at_ms - run.instance.created_at_ms
    if not own.ended:
        return 0
    descendants = [life for life in run._world.lives.values() if life is not own]
    exact = length(span for life in (own, *descendants) for span in asked(life))
    assert 0 <= times.waits.human_ms <= elapsed_ms
    if any(type(event) is RetryRequested for event in own.events):
        return 0  # a child that is begun again may have the id of one before, whose life the kit has forgotten
    assert times.waits.human_ms <= exact
    heard = all(life.ended and life.instance.finished_at_ms <= run.instance.finished_at_ms for life in descendants)
    if heard and run.status == InstanceStatus.SUCCEEDED and len(times.waits.asked) < SPANS_KEPT:
        assert times.waits.human_ms == exact
    return times.waits.human_ms


def test_what_is_counted_is_what_a_look_at_every_moment_finds() -> None:
    waited = [check(seed) for seed in range(120)]
    assert sum(map(bool, waited)) > 5, "hardly any of these runs waits for anybody"


@pytest.mark.slow
def test_so_it_is_in_many_more() -> None:
    for seed in range(120, 1_500):
        check(seed)
