"""Whatever comes, it is a policy or has faults: nothing else is raised, and what is valid can be written and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.ilm.policies import (
    ACTIONS,
    ALLOWED,
    PHASES,
    PhaseName,
    PolicyInvalid,
    differences,
    parse,
    retention_ms,
    spelled_out,
)
from leasehold.ilm.policies.reading import FAULTS_MAX

HOT: dict[str, Any] = {"actions": {"rollover": {"max_age": "7d"}}}
PARAMETERS = sorted({name for action in ACTIONS.values() for name in action.parameters})
KEYS_OF_POLICIES = ("phases", "policy", "_meta", "actions", "min_age", *PHASES, *ACTIONS, *PARAMETERS)
WRITTEN = ("0", "1d", "7d", "50gb", "-1", "best_compression", "\ud800", "")

# The words are those of policies, so that the checks behind the first ones are reached.
WORDS = st.sampled_from([*KEYS_OF_POLICIES, *WRITTEN]) | st.text(max_size=5)
TOO_MANY_DIGITS = st.just(5_000).map(lambda digits: 10**digits)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | TOO_MANY_DIGITS
    | st.floats()
    | WORDS
    | st.binary(max_size=3)
    | st.dates()
)
KEYS = (
    WORDS | st.integers() | st.none() | st.booleans() | st.floats() | st.tuples(st.text(max_size=3)) | TOO_MANY_DIGITS
)
HOSTILE = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
PLACES = st.sampled_from([(phase, action) for phase in PHASES for action in ALLOWED[phase]])


def faults(document: Any) -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        parse("steps", document)
    return [str(fault) for fault in caught.value.faults]


@given(HOSTILE)
def test_anything_at_all_is_refused_with_faults_that_can_be_sent(document: Any) -> None:
    assert all(fault.encode() for fault in faults(document))


@given(PLACES, st.dictionaries(KEYS, LEAVES, max_size=4) | HOSTILE, LEAVES)
def test_hostile_parameters_and_ages_give_faults_or_a_policy(place: tuple[str, str], given: Any, min_age: Any) -> None:
    phase, action = place
    document = {"phases": {"hot": HOT, phase: {"min_age": min_age, "actions": {action: given}}}}
    try:
        policy = parse("steps", document)
    except PolicyInvalid:
        assert all(fault.encode() for fault in faults(document))
    else:
        assert parse("steps", policy.document()) == policy
        assert json.dumps(policy.document(), ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("where", ["document", "phases", "phase", "parameter", "_meta"])
def test_what_is_nested_very_deep_is_refused(where: str) -> None:
    deep: Any = {}
    for _ in range(10_000):
        deep = {"a": [deep]}
    documents: dict[str, Any] = {
        "document": {"a": deep},
        "phases": {"phases": {"a": deep}},
        "phase": {"phases": {"hot": {**HOT, "a": deep}}},
        "parameter": {"phases": {"hot": HOT, "warm": {"actions": {"allocate": {"include": {"a": deep}}}}}},
        "_meta": {"phases": {"hot": HOT}, "_meta": deep},
    }
    assert faults(documents[where])


def test_of_very_many_faults_the_first_are_said() -> None:
    assert len(faults({"phases": {"hot": HOT}, **{f"x{number}": 1 for number in range(10_000)}})) == FAULTS_MAX


NAMES = st.text("abc-_.*äß ", min_size=1, max_size=9).filter(lambda text: bool(text.strip()))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "index_codec": st.just("best_compression"),
    "snapshot_repository": st.just("backups"),
    "policy": NAMES,
    **dict.fromkeys(("include", "exclude", "require"), st.dictionaries(NAMES, NAMES, max_size=2)),
    **dict.fromkeys(("delete_searchable_snapshot", "enabled", "force_merge_index"), st.booleans()),
    "allow_write_after_shrink": st.booleans(),
    **dict.fromkeys([name for name in PARAMETERS if name.endswith("size")], st.integers(1, 99).map("{}gb".format)),
    **dict.fromkeys(("max_age", "min_age", "wait_timeout"), st.integers(1, 99).map("{}h".format)),
    "fixed_interval": st.sampled_from(["1h", "60m", "1d", "48h"]),
    "replicate_for": st.sampled_from(["60s", "90s"]),
}
NUMBERS = st.integers(1, 2**31 - 1)


@st.composite
def nearly_valid(draw: st.DrawFn) -> dict[str, Any]:
    """Policies in which each value is valid by itself, in phases whose ages do not fall."""
    phases: dict[PhaseName, Any] = {}
    for number, phase in enumerate(PHASES):
        if number == 0 or draw(st.booleans()):
            chosen = {
                *draw(st.sets(st.sampled_from(ALLOWED[phase]), max_size=3)),
                *(["rollover"] if number == 0 else []),
            }
            actions = {name: draw(parameters(name)) for name in sorted(chosen)}
            phases[phase] = {"actions": actions} | ({"min_age": f"{24 * number}h"} if draw(st.booleans()) else {})
    return {"phases": phases}


@st.composite
def parameters(draw: st.DrawFn, action: str) -> dict[str, Any]:
    known = ACTIONS[action].parameters
    return {
        name: draw(VALUES.get(name, NUMBERS))
        for name, parameter in known.items()
        if parameter.required or draw(st.booleans())
    }


@given(nearly_valid())
def test_a_valid_policy_says_the_same_when_it_is_spelled_out(document: dict[str, Any]) -> None:
    try:
        policy = parse("audit", document)
    except PolicyInvalid:
        return
    spelled = parse("audit", spelled_out(policy))
    assert differences(policy, spelled) == []
    assert spelled_out(spelled) == spelled_out(policy)
    assert retention_ms(spelled) == retention_ms(policy)
