"""The check of policies beside Elasticsearch's own.

`verdicts.jsonl` holds what Elasticsearch 8.19.8 makes of each document: its classes LifecyclePolicy (parse, validate)
and TimeseriesLifecycleType (validateMonotonicallyIncreasingPhaseTimings, of which it warns) were run on it, and what it
would answer when asked for the policy was written down.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from leasehold.ilm.policies import PolicyInvalid, differences, parse

CASES: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("verdicts.jsonl").read_text().splitlines()
]

# What Elasticsearch takes and we refuse, by reason.
STRICTER = {
    "the write index would be deleted under its writers": {"hot missing", "phases empty", "empty hot"},
    "rows on their way would come too late": {"delete at once", "delete after 59m"},
    "a number, a flag or a name of another type is a mistake": {
        "max_docs as a string",
        "max_docs 1.0",
        "max_docs 1.5",
        "max_docs '1.0'",
        "shrink '1'",
        "shrink 1.0",
        "shrink 1.5",
        "shrink '1.5'",
        "set_priority '5'",
        "set_priority 1.5",
        "migrate as a string",
        "allocate rule as a number",
        "allocate rule as true",
        "delete delete_searchable_snapshot as a string",
        "min_age as a number 0",
    },
    "a condition that always or never holds is a mistake": {
        "max_docs 0",
        "max_docs -1",
        "max_age 0",
        "max_age 0ms",
        "max_age -1",
        "max_size 0",
        "max_size 0b",
        "max_size -1",
    },
    "an age below 0 is taken for none, one too long is cut down, nothing is timed below milliseconds": {
        "min_age -1",
        "min_age -1d",
        "min_age too long",
        "min_age 90nanos",
    },
    "an interval is looked at only when it is too late": {
        "downsample 1M",
        "downsample 1y",
        "downsample 0h",
        "downsample -1h",
        "downsample 1.5h",
        "downsample month",
        "downsample bad",
        "downsample 60nanos",
    },
    "Elasticsearch does not keep what was written": {"searchable_snapshot replicate_for 36h", "shrink 1500mb"},
    "a mark for Elastic's own policies": {"deprecated", "deprecated as a string"},
}


def is_taken(document: Any) -> bool:
    try:
        parse("steps", document)
    except PolicyInvalid:
        return False
    return True


@pytest.mark.parametrize("case", [case for case in CASES if case["verdict"] != "taken"], ids=lambda case: case["name"])
def test_what_elasticsearch_refuses_or_warns_of_is_refused(case: dict[str, Any]) -> None:
    assert not is_taken(case["document"])


def test_what_elasticsearch_takes_is_refused_for_a_known_reason_alone() -> None:
    refused = {case["name"] for case in CASES if case["verdict"] == "taken" and not is_taken(case["document"])}
    assert refused == set().union(*STRICTER.values())


def test_there_are_cases_of_every_verdict() -> None:
    verdicts = [case["verdict"] for case in CASES]
    assert [verdicts.count(verdict) >= 3 for verdict in ("taken", "warned", "refused")] == [True, True, True]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case["verdict"] == "taken" and is_taken(case["document"])],
    ids=lambda case: case["name"],
)
def test_what_elasticsearch_answers_with_says_the_same_as_what_was_written(case: dict[str, Any]) -> None:
    written, answered = parse("steps", case["document"]), parse("steps", case["answer"])
    assert differences(written, answered) == []
