"""Whatever executors, people and time do to any definition, what must hold of an instance holds."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from leasehold.core.machine import FINAL_INSTANCE, FINAL_STEP
from leasehold.core.testing import NotApplied, Run, play
from leasehold.definitions import Definition, load

from ..replay.definitions import CHILD, AnyStub, Author

QUICK, MORE = range(60), range(60, 800)


def lived(seed: int) -> Run:
    """A run of a random definition to its end, disturbed by people until then. Raises: Stuck, for one without end."""
    random = Random(seed)
    definition = loaded(Author(random).definition())
    stub = AnyStub(random)
    run = play(definition, executors={"any": stub, "other": stub}, workflows=[loaded(CHILD)], seed=seed, limit=20_000)
    for _ in range(random.randrange(25)):
        disturb(run, random)
    with contextlib.suppress(NotApplied):
        run.resume()
    run.until_done()
    return run


def loaded(definition: object) -> Definition:
    return load(json.dumps(definition))[0]


def disturb(run: Run, random: Random) -> None:
    path = random.choice(list(run.steps) or [""])
    deeds: list[Callable[[], None]] = [
        *[lambda: run.advance(seconds=random.choice([1, 5, 40, 400, 8_000]))] * 3,
        lambda: run.approve(random.choice(["", path])),
        lambda: run.reject(path),
        lambda: run.signal(random.choice(["go", "stop"]), {"n": 1}),
        run.pause,
        run.resume,
        run.resume,
        lambda: run.skip(path),
        lambda: run.retry(path),
        lambda: run.retry(from_start=random.random() < 0.5),
    ]
    if random.random() < 0.05:
        deeds = [run.cancel, run.terminate]
    with contextlib.suppress(NotApplied):
        random.choice(deeds)()


def check(seed: int) -> None:
    run = lived(seed)  # it comes to an end: nothing waits for what can't come
    assert run.instance.status in FINAL_INSTANCE
    assert all(state.status in FINAL_STEP for state in run.instance.steps.values())
    attempts = run.attempts()
    numbers = Counter((attempt.path, attempt.number) for attempt in attempts)
    assert max(numbers.values(), default=1) == 1, "an attempt's number never comes again"
    done = Counter(attempt.path for attempt in attempts if attempt.outcome == "succeeded")
    for path, count in done.items():
        target = path.removesuffix(".compensate")
        assert target == path or target not in done or count <= done[target], f"{target} was undone too often"


@pytest.mark.parametrize("seed", QUICK)
def test_an_instance_of_any_definition_ends_with_nothing_open_and_no_attempt_counted_twice(seed: int) -> None:
    check(seed)


@pytest.mark.slow
def test_so_do_many_more() -> None:
    for seed in MORE:
        check(seed)
