"""What is said of a policy that is not valid: where, what was found, what is allowed, the way out."""

from __future__ import annotations

import datetime
from math import nan
from typing import Any

import pytest
from leasehold.ilm.policies import ACTIONS, ALLOWED, FAMILIES, PHASES, PolicyInvalid, default_policy, parse

ALL_PHASES = "`hot`, `warm`, `cold`, `frozen`, `delete`"
HOT: dict[str, Any] = {"actions": {"rollover": {"max_age": "7d"}}}

DOWNSAMPLE = {"downsample": {"fixed_interval": "1h"}}


def faults(document: Any, family: str = "steps") -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        parse(family, document)
    assert str(caught.value).startswith(f"policy of {family}: {caught.value.faults[0]}")
    return [str(fault) for fault in caught.value.faults]


def phases(**more: Any) -> dict[str, Any]:
    return {"phases": {"hot": HOT, **more}}


def warm(**more: Any) -> dict[str, Any]:
    return phases(warm={"actions": {}, **more})


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        ([], "", "found a list; allowed: an object"),
        ({}, "", f"`phases` is missing; allowed: an object with phases, of {ALL_PHASES}"),
        ({**phases(), "phase": {}}, "phase", 'unknown key "phase"; did you mean `phases`?'),
        (phases(frezen={}), "phases.frezen", 'unknown phase "frezen"; did you mean `frozen`?'),
        (phases(tepid={}), "phases.tepid", f'unknown phase "tepid"; allowed: {ALL_PHASES}'),
        (phases(**{"wa.rm": {}}), 'phases."wa.rm"', 'unknown phase "wa.rm"; did you mean `warm`?'),
        (phases(warm={}), "phases.warm", "`actions` is missing; allowed: an object with actions, `{}` for none"),
        (warm(minAge="1d"), "phases.warm.minAge", 'unknown key "minAge"; did you mean `min_age`?'),
        (
            warm(min_age="1.5d"),
            "phases.warm.min_age",
            'found "1.5d"; allowed: a duration such as "90m", "12h" or "7d"',
        ),
        (
            warm(actions={"force_merge": {}}),
            "phases.warm.actions.force_merge",
            'unknown action "force_merge"; did you mean `forcemerge`?',
        ),
        (
            phases(frozen={"actions": {"searchable_snapshot": {"snapshot_repository": "backups"}, "forcemerge": {}}}),
            "phases.frozen.actions.forcemerge",
            "`forcemerge` is not allowed in the phase `frozen`, only in `hot`, `warm`; allowed here: `unfollow`, "
            "`searchable_snapshot`",
        ),
        (
            warm(actions={"forcemerge": {}}),
            "phases.warm.actions.forcemerge",
            "`max_num_segments` is missing; allowed: a whole number from 1 to 2147483647",
        ),
        (
            warm(actions={"forcemerge": {"max_num_segments": True}}),
            "phases.warm.actions.forcemerge.max_num_segments",
            "found true; allowed: a whole number from 1 to 2147483647",
        ),
        (
            warm(actions={"readonly": {"blocks": 1}}),
            "phases.warm.actions.readonly.blocks",
            'unknown parameter "blocks"; allowed: none',
        ),
        (
            warm(actions={"shrink": {"number_of_shards": 1, "max_primary_shard_size": "1gb"}}),
            "phases.warm.actions.shrink",
            "give either `number_of_shards` or `max_primary_shard_size`; both are there",
        ),
        (
            {"phases": {"hot": {"actions": {"rollover": {"min_docs": 1}}}}},
            "phases.hot.actions.rollover",
            "no condition says when to roll over; give at least one of `max_age`, `max_primary_shard_size`, "
            "`max_primary_shard_docs`, `max_docs` or `max_size`",
        ),
        (
            {"phases": {"hot": {"actions": {}}}},
            "phases.hot.actions",
            "`rollover` is missing: the index that is written to would age, and be deleted under its writers; give its "
            'conditions, such as "rollover": {"max_age": "7d", "max_primary_shard_size": "50gb"}',
        ),
        (
            {"phases": {}},
            "phases.hot",
            "this phase is missing; allowed: a phase `hot` with `rollover` among its actions",
        ),
        (
            phases(warm={"min_age": "2d", "actions": {}}, delete={"min_age": "1d", "actions": {"delete": {}}}),
            "phases.delete.min_age",
            "found 1d; allowed: at least 2d, the min_age of `warm`, since an index enters `delete` after `warm`",
        ),
        (
            phases(delete={"min_age": "10m", "actions": {"delete": {}}}),
            "phases.delete.min_age",
            "found 10m; allowed: at least 1h after the roll-over, since rows that were on their way then, or that a "
            "crash repeats, still go into the index",
        ),
        (
            phases(frozen={"min_age": "30d", "actions": {}}),
            "phases.frozen.actions",
            "`searchable_snapshot` is missing, which is all that this phase is for; name a repository, as in "
            '"searchable_snapshot": {"snapshot_repository": "backups"}, or leave the phase out',
        ),
        (
            warm(actions={"allocate": {"require": {"box": "warm"}}, "migrate": {}}),
            "phases.warm.actions",
            "`migrate` and `allocate` with `require` both say to which nodes the index goes; allowed: one of them, so "
            'remove these, or give "migrate": {"enabled": false}',
        ),
        (
            {**phases(), "_meta": {"since": datetime.date(2026, 1, 1)}},
            "_meta.since",
            "found a value of the type date; allowed: what JSON can say",
        ),
        ({**phases(), "_meta": {"a": [{}, nan]}}, "_meta.a[1]", "found NaN; allowed: what JSON can say"),
        ({**phases(), "_meta": {1: 2}}, "_meta.1", "found the key 1; allowed: a string"),
        ({**phases(), "_meta": {"\ud800": 2}}, '_meta."\\ud800"', 'found the key "\\ud800"; allowed: a string'),
        ({**phases(), "_meta": {"a": 2**63}}, "_meta.a", f"found {2**63}; allowed: what JSON can say"),
        (
            phases(delete={"actions": {"wait_for_snapshot": {"policy": "\ud800"}}}),
            "phases.delete.actions.wait_for_snapshot.policy",
            'found "\\ud800"; allowed: a name, as a string that is not empty',
        ),
        (
            phases(warm={"actions": DOWNSAMPLE}, cold={"actions": DOWNSAMPLE}),
            "phases.cold.actions.downsample.fixed_interval",
            "found 1h; allowed: a multiple of 1h, the interval of `warm`, and larger",
        ),
        (
            {"phases": {"hot": {"min_age": "2h", **HOT}, "delete": {"actions": {"delete": {}}}}},
            "phases.delete.min_age",
            "found 0ms; allowed: at least 1h after the roll-over, since rows that were on their way then, or that a "
            "crash repeats, still go into the index",
        ),
        ({"policy": {"phases": {"hot": 1}}}, "policy.phases.hot", "found 1; allowed: an object"),
        ({"policy": phases(), "polices": 1}, "polices", 'unknown key "polices"; did you mean `policy`?'),
    ],
)
def test_one_fault(document: Any, path: str, said: str) -> None:
    assert faults(document) == [f"{path}: {said}" if path else said]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = faults(
        {
            "phases": {
                "hot": {"actions": {"rollover": {"max_age": 7, "max_dox": 1}, "set_priority": {"priority": -1}}},
                "warm": {"min_age": "soon", "actions": {"shrink": {}}},
                "delete": {"min_age": "30m", "actions": {"delete": {}}},
            },
            "x": 1,
        }
    )
    assert [line.partition(":")[0] for line in found] == [
        "x",
        "phases.hot.actions.set_priority.priority",
        "phases.hot.actions.rollover.max_dox",
        "phases.hot.actions.rollover.max_age",
        "phases.warm.min_age",
        "phases.warm.actions.shrink",
    ]


def test_an_unknown_family_is_named_with_the_nearest() -> None:
    assert faults(phases(), "instance") == ['unknown family "instance"; did you mean `instances`?']
    with pytest.raises(PolicyInvalid, match="did you mean `steps`"):
        default_policy("step")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_is_read_as_it_was_written(family: str) -> None:
    document = default_policy(family, repository="backups").document() | {"_meta": {"by": "ops", "why": ["disk", None]}}
    policy = parse(family, document)
    assert policy.document() == document
    assert list(policy.phases) == list(PHASES)
    assert parse(family, {"policy": document}) == policy


def test_what_elasticsearch_answers_around_a_policy_is_left_out() -> None:
    answer = {"version": 3, "modified_date": "2026-01-01T00:00:00Z", "policy": phases(), "in_use_by": {"indices": []}}
    assert parse("steps", answer).document() == phases()


def test_a_policy_is_a_copy_of_its_document() -> None:
    document = phases(warm={"min_age": "1d", "actions": {"readonly": {}}}) | {"_meta": {"list": []}}
    policy = parse("steps", document)
    document["phases"]["warm"]["actions"].clear()
    document["_meta"]["list"].append(1)
    policy.document()["phases"].clear()
    assert policy.actions("warm") == {"readonly": {}}
    assert policy.meta == {"list": []}


def test_actions_come_in_the_order_in_which_they_are_carried_out() -> None:
    given = {"forcemerge": {"max_num_segments": 1}, "shrink": {"number_of_shards": 1}, "readonly": {}}
    assert list(parse("steps", phases(warm={"actions": given})).actions("warm")) == ["readonly", "shrink", "forcemerge"]
    assert parse("steps", phases()).actions("cold") == {}


def test_every_allowed_action_has_its_parameters() -> None:
    assert set().union(*ALLOWED.values()) == set(ACTIONS)


def test_ages_may_be_the_same_and_each_that_falls_is_a_fault() -> None:
    def made(warm: str, cold: str, delete: str) -> dict[str, Any]:
        return phases(
            warm={"min_age": warm, "actions": {}},
            cold={"min_age": cold, "actions": {}},
            delete={"min_age": delete, "actions": {}},
        )

    assert parse("steps", made("2d", "48h", "2d"))
    assert [line.partition(":")[0] for line in faults(made("3d", "1d", "2d"))] == [
        "phases.cold.min_age",
        "phases.delete.min_age",
    ]
