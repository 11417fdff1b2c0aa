"""What the tally calls wrong."""

from __future__ import annotations

from leasehold.bench.load.closed import Completed, Executed, Started
from leasehold.bench.scenarios.tally import Tally


def started(acknowledged: int, refused: dict[int, int] | None = None, lost: int = 0) -> Started:
    return Started(0, 1, 0, acknowledged, refused or {}, lost, [])


def executed(claimed: dict[str, list[int]], *, failures: int = 0, refused: dict[int, int] | None = None) -> Executed:
    return Executed(0, 1, 1, 1, 0, claimed, [1], 0, 0, failures, refused or {})


def test_a_run_in_which_each_step_was_claimed_once_has_nothing_wrong() -> None:
    tally = Tally(("a", "b"))
    tally.started(started(3, {429: 100}), 3)
    tally.executed(executed({"a": [0, 2], "b": [0]}))
    tally.executed(executed({"a": [1], "b": [2, 1]}))
    tally.completed(Completed(0, 1, 6, {}))
    assert tally.wrong() == dict.fromkeys(tally.wrong(), 0)
    assert (tally.instances, tally.steps, tally.claimed()) == (3, 6, 6)


def test_each_kind_of_wrong_is_counted_apart() -> None:
    tally = Tally(("a",))
    tally.seeded(1)
    tally.started(started(3, {400: 1, 503: 7}, lost=1), 5)
    tally.executed(executed({"a": [0, 1, 1, 9], "z": [0]}, failures=2, refused={409: 3}))
    tally.completed(Completed(0, 1, 0, {0: 4}))
    assert tally.wrong() == {
        "lost": 1,
        "doubled": 1,
        "never_started": 2,
        "starts_refused": 1,
        "starts_without_answer": 1,
        "claims_failed": 2,
        "completions_refused": 7,
    }
