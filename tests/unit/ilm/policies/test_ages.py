"""Ages: when a phase begins, how long rows are kept, when an index rolls."""

from __future__ import annotations

from typing import Any

from leasehold.ilm.policies import (
    Policy,
    default_policy,
    max_age_ms,
    min_age_ms,
    parse,
    retention_ms,
    rollover_conditions,
)

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def policy(rollover: dict[str, Any] | None = None, **phases: Any) -> Policy:
    return parse("steps", {"phases": {"hot": {"actions": {"rollover": rollover or {"max_age": "7d"}}}, **phases}})


def test_a_phase_begins_at_its_age_after_the_roll_over() -> None:
    steps = default_policy("steps")
    assert [min_age_ms(steps, phase) for phase in ("hot", "warm", "cold", "frozen", "delete")] == [
        0,
        DAY_MS,
        7 * DAY_MS,
        None,
        30 * DAY_MS,
    ]


def test_a_phase_without_an_age_begins_when_the_phase_before_it_is_done() -> None:
    made = policy(
        warm={"min_age": "2d", "actions": {}},
        cold={"actions": {}},
        delete={"min_age": "0ms", "actions": {"delete": {}}},
    )
    assert min_age_ms(made, "cold") == 2 * DAY_MS
    assert retention_ms(made) == 2 * DAY_MS


def test_the_age_of_hot_counts_from_the_creation_and_for_no_other_phase() -> None:
    hot = {"min_age": "3d", "actions": {"rollover": {"max_age": "7d"}}}
    made = parse("steps", {"phases": {"hot": hot, "warm": {"actions": {}}}})
    assert [min_age_ms(made, "hot"), min_age_ms(made, "warm")] == [3 * DAY_MS, 0]


def test_rows_are_kept_for_ever_unless_a_delete_action_says_otherwise() -> None:
    assert retention_ms(policy()) is None
    assert (
        retention_ms(policy(delete={"min_age": "9d", "actions": {"wait_for_snapshot": {"policy": "nightly"}}})) is None
    )
    assert retention_ms(policy(delete={"min_age": "9d", "actions": {"delete": {}}})) == 9 * DAY_MS


def test_what_limits_the_age_of_a_write_index() -> None:
    assert max_age_ms(policy({"max_age": "12h", "max_docs": 5})) == 12 * HOUR_MS
    assert max_age_ms(policy({"max_docs": 5})) is None


def test_conditions_of_a_roll_over_are_those_that_ilm_applies() -> None:
    assert rollover_conditions(policy({"max_age": "7d"})) == {
        "max_age": "7d",
        "min_docs": 1,
        "max_primary_shard_docs": 200_000_000,
    }
    given = {"max_primary_shard_docs": 5, "min_docs": 0}
    assert rollover_conditions(policy(given)) == given
    given = {"max_primary_shard_docs": 300_000_000, "min_primary_shard_docs": 3}
    assert rollover_conditions(policy(given)) == {"max_primary_shard_docs": 200_000_000, "min_primary_shard_docs": 3}
