"""The content hash: the same for the same content however it is written, another for any other value."""

from __future__ import annotations

import pytest

from .builders import one

BASE = """\
name: x
version: 3
labels: {team: soc, area: net}
steps:
  - name: a
    executor: e
    timeout: 60s
    input: {n: 1, text: "on", list: [1, 2]}
"""


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("name: x", "# a comment\nname:   x   # another"),
        BASE.replace("name: x", "---\nname: 'x'"),
        BASE.replace('"on"', "on"),
        BASE.replace("{team: soc, area: net}", "\n  area: net\n  team: soc"),
        BASE.replace("60s", '"60s"'),
        BASE.replace("version: 3", "version: 0x3"),
        BASE.replace("list: [1, 2]", "list: [1,\n       2]"),
        BASE.replace("\n", "\r\n"),
    ],
)
def test_how_it_is_written_does_not_count(other: str) -> None:
    assert one(other).content_hash() == one(BASE).content_hash()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: x", "name: y"),
        ("version: 3", "version: 4"),
        ("60s", "1m"),
        ("n: 1", "n: 1.0"),
        ("n: 1", "n: '1'"),
        ("n: 1", "n: true"),
        ("[1, 2]", "[2, 1]"),
        ("    timeout: 60s\n", ""),
        ("executor: e\n", "executor: e\n    depends_on: []\n"),
        ('text: "on"', 'text: "on "'),
    ],
)
def test_every_value_counts(old: str, new: str) -> None:
    assert old in BASE
    assert one(BASE.replace(old, new)).content_hash() != one(BASE).content_hash()


def test_the_hash_of_a_content_never_changes() -> None:
    """It is stored: another value here would make every stored version look like another content."""
    assert one(BASE).content_hash() == "807a7054e03245a7156948e8982af061bb4bfd1e63f5322650bb5aef1fe1f01a"


NESTED = """\
name: x
budgets: {cost: 1.5}
steps:
  - name: each
    foreach: "{{ inputs.hosts }}"
    steps:
      - {name: a, executor: e, timeout: 60s, on_failure: continue}
  - {name: s, switch: "{{ now }}", cases: {true: [{name: a, wait: 1m}]}}
on_failure: [{name: a, executor: e}]
"""


def test_what_stands_inside_steps_counts_as_it_is_written() -> None:
    assert one(NESTED).content_hash() == "b5b52e15318ec8b876c0a0b49fae60335d514ac6c378a74e76488649dfe4ca69"
    assert one(NESTED.replace("true:", "'true':")).content_hash() == one(NESTED).content_hash()
    for old, new in (("60s", "1m"), ("wait: 1m", "wait: 60s"), ("cost: 1.5", "cost: 1.50"), ("continue", "fail")):
        same = old == "cost: 1.5"  # one number
        assert (one(NESTED.replace(old, new)).content_hash() == one(NESTED).content_hash()) is same
