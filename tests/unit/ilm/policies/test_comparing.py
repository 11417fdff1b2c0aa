"""What a changed policy changes, and what is said before it keeps records less long."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.ilm.policies import (
    FAMILIES,
    Difference,
    Policy,
    default_policy,
    differences,
    disagreements,
    parse,
    shortened,
)

SNAPSHOT = {"snapshot_repository": "backups"}


def policy(family: str = "audit", *, rollover: dict[str, Any] | None = None, **phases: Any) -> Policy:
    hot = {"actions": {"rollover": rollover or {"max_age": "7d"}}}
    return parse(family, {"phases": {"hot": hot, **phases}})


def deleted(after: str, **actions: Any) -> dict[str, Any]:
    return {"min_age": after, "actions": {"delete": {}, **actions}}


def test_another_writing_of_the_same_is_no_difference() -> None:
    short = policy(warm={"actions": {"migrate": {}, "shrink": {"number_of_shards": 1}}}, delete=deleted("48h"))
    long = policy(
        rollover={"max_age": "168H"},
        warm={
            "min_age": "0ms",
            "actions": {
                "shrink": {"allow_write_after_shrink": False, "number_of_shards": 1},
                "migrate": {"enabled": True},
            },
        },
        delete=deleted("2d", delete={"delete_searchable_snapshot": True}),
    )
    assert differences(short, long) == []


def test_each_value_that_differs_is_named_with_what_it_was_and_is() -> None:
    old = policy(rollover={"max_age": "7d", "max_docs": 5}, cold={"actions": {"readonly": {}}}, delete=deleted("60m"))
    new = policy(
        rollover={"max_age": "1d"},
        warm={"min_age": "30m", "actions": {"set_priority": {"priority": None}}},
        cold={"actions": {}},
        delete=deleted("2h"),
    )
    assert differences(old, new) == [
        Difference("phases.hot.actions.rollover.max_age", "7d", "1d"),
        Difference("phases.hot.actions.rollover.max_docs", 5, None),
        Difference("phases.warm", None, {"min_age": "30m", "actions": {"set_priority": {"priority": None}}}),
        Difference("phases.cold.actions.readonly", {}, None),
        Difference("phases.delete.min_age", "1h", "2h"),
    ]


def test_a_note_that_differs_is_a_difference() -> None:
    plain = policy()
    noted = parse("audit", plain.document() | {"_meta": {"by": "ops", "flag": True}})
    other = parse("audit", plain.document() | {"_meta": {"by": "ops", "flag": 1}})
    assert differences(plain, noted) == [Difference("_meta", None, {"by": "ops", "flag": True})]
    assert differences(noted, other) == [Difference("_meta.flag", True, 1)]
    assert differences(noted, noted) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            policy(delete=deleted("400d")),
            policy(delete=deleted("30d")),
            "records of audit would be deleted 30d after their index rolls, and not 400d after it as until now",
        ),
        (
            policy(),
            policy(delete=deleted("400d")),
            "records of audit, which were kept for ever, would be deleted 400d after their index rolls",
        ),
        (
            policy(delete={"min_age": "1h", "actions": {}}),
            policy(delete=deleted("1h")),
            "records of audit, which were kept for ever, would be deleted 1h after their index rolls",
        ),
        (
            policy(cold={"min_age": "90d", "actions": {}}, delete={"actions": {"delete": {}}}),
            policy(delete=deleted("89d")),
            "records of audit would be deleted 89d after their index rolls, and not 90d after it as until now",
        ),
        (
            policy(delete=deleted("30d", wait_for_snapshot={"policy": "nightly"})),
            policy(delete=deleted("60d")),
            "records of audit would be deleted without waiting any more for a snapshot of the policy 'nightly'",
        ),
        (
            policy(
                cold={"actions": {"searchable_snapshot": SNAPSHOT}},
                delete=deleted("30d", delete={"delete_searchable_snapshot": False}),
            ),
            policy(cold={"actions": {"searchable_snapshot": SNAPSHOT}}, delete=deleted("60d")),
            "records of audit would be deleted together with their searchable snapshots, which until now stayed in the "
            "repository",
        ),
    ],
)
def test_a_policy_that_keeps_records_less_long_is_told(old: Policy, new: Policy, said: str) -> None:
    assert shortened(old, new) == said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (policy(delete=deleted("30d")), policy(delete=deleted("720h"))),
        (policy(delete=deleted("30d")), policy(delete=deleted("31d"))),
        (policy(delete=deleted("30d")), policy()),
        (policy(delete=deleted("30d")), policy(delete={"min_age": "1d", "actions": {}})),
        (policy(), policy()),
        # What is promised is the shortest life of a row, and this only ends the longest ones.
        (
            policy(rollover={"max_age": "30d"}, delete=deleted("9d")),
            policy(rollover={"max_age": "1h"}, delete=deleted("9d")),
        ),
        # Nothing went to the repository.
        (
            policy(delete=deleted("30d", delete={"delete_searchable_snapshot": False})),
            policy(delete=deleted("30d")),
        ),
    ],
)
def test_a_policy_that_keeps_records_as_long_is_not_told(old: Policy, new: Policy) -> None:
    assert shortened(old, new) is None


def test_event_logs_that_go_before_their_instances_are_told() -> None:
    defaults = {family: default_policy(family) for family in FAMILIES}
    assert disagreements(defaults | {"events": policy("events", delete=deleted("119d"))}) == [
        "events are deleted 119d after their index rolls, and an instance stays up to 120d: the oldest ones with long "
        "event logs can't be replayed; keep events at least 120d, and longer by how long instances run"
    ]
    assert disagreements(defaults | {"events": policy("events", delete=deleted("120d"))}) == []
    assert disagreements(defaults | {"events": policy("events")}) == []


@pytest.mark.parametrize(
    ("instances", "stays"),
    [
        (policy("instances"), "for ever"),
        (
            policy("instances", rollover={"max_docs": 5}, delete=deleted("1d")),
            "longer than can be said, since their index may be any age when it rolls",
        ),
    ],
)
def test_instances_that_stay_for_who_knows_how_long_are_told(instances: Policy, stays: str) -> None:
    defaults = {family: default_policy(family) for family in FAMILIES}
    (said,) = disagreements(defaults | {"instances": instances})
    assert f"instances stay {stays}: " in said
