"""The ES|QL of docs/history.md names commands, functions and fields that there are. Nothing here can run it."""

from __future__ import annotations

import re

import pytest
from leasehold.ilm import instances, steps, trail

from tests.kit.markdown import ROOT, blocks

from .test_history_page import mapped

FIELDS = {
    "workflow-steps": steps.FIELDS,
    "workflow-instances": instances.FIELDS,
    "workflow-audit": trail.AUDIT,
}
COMMANDS = {"FROM", "WHERE", "STATS", "EVAL", "SORT", "KEEP", "LIMIT"}
WORDS = {"AND", "OR", "NOT", "IN", "IS", "NULL", "BY", "ASC", "DESC"}
FUNCTIONS = {"AVG", "CASE", "COUNT", "COUNT_DISTINCT", "DATE_TRUNC", "MATCH", "MAX", "NOW", "PERCENTILE", "SUM"}
UNITS = {"day", "days", "hour"}

_STRING = re.compile(r'"[^"]*"')
_NAME = re.compile(r"@?[A-Za-z_][\w.]*(\()?")

PAGE = (ROOT / "docs/history.md").read_text(encoding="utf-8")
QUERIES = [block.text for block in blocks(PAGE) if block.language == "esql"]


def faults(query: str) -> list[str]:
    """What of a query is no ES|QL that we know, or no field of the index that it reads."""
    commands = [part.strip() for part in _STRING.sub('""', query).split("|")]
    index = re.fullmatch(r"FROM (\S+)", commands[0])
    if index is None or index[1] not in FIELDS:
        return [commands[0]]
    known = {name for name, _ in mapped(FIELDS[index[1]])}
    found: list[str] = []
    for command in commands[1:]:
        word, _, rest = command.partition(" ")
        if word not in COMMANDS or rest.count("(") != rest.count(")"):
            found.append(command)
        named = set(re.findall(r"(\w+) = ", rest))
        for match in _NAME.finditer(rest):
            name = match[0]
            if match[1]:
                ok = name[:-1] in FUNCTIONS
            elif name.isupper():
                ok = name in WORDS
            else:
                ok = name in known or name in named or _is_unit(rest, match.start(), name)
            if not ok:
                found.append(name)
        known = known | named
    return found


def _is_unit(text: str, at: int, name: str) -> bool:
    return name in UNITS and text[:at].rstrip()[-1:].isdigit()


@pytest.mark.parametrize("query", QUERIES, ids=[str(number) for number in range(1, len(QUERIES) + 1)])
def test_every_name_in_the_esql_of_the_page_is_known(query: str) -> None:
    assert faults(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "FROM workflow-stepz",
        "FROM workflow-steps | WHERE step.duration > 1",
        "FROM workflow-steps | STATS n = COUNTS(*)",
        "FROM workflow-steps | GROUP BY worker",
        "FROM workflow-steps | STATS n = COUNT(*) BY worker | SORT m DESC",
        'FROM workflow-instances | WHERE step.name == "x"',
        "FROM workflow-steps | STATS n = SUM(CASE(step.attempt > 1, 1, 0)",
    ],
)
def test_a_name_that_is_not_is_found(query: str) -> None:
    assert faults(query) != []
