"""The field tables of docs/history.md are the mappings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from leasehold.ilm import instances, steps, trail

PAGE = (Path(__file__).parents[3] / "docs" / "history.md").read_text(encoding="utf-8")


def mapped(properties: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, spec in properties.items():
        if "properties" in spec:
            found += mapped(spec["properties"], f"{prefix}{name}.")
        else:
            found.append((prefix + name, "enabled: false" if spec.get("enabled") is False else spec["type"]))
    return found


def described(index: str) -> list[tuple[str, str]]:
    section = PAGE.partition(f"## `{index}`\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("index", "fields"),
    [
        ("workflow-steps", steps.FIELDS),
        ("workflow-instances", instances.FIELDS),
        ("workflow-events", trail.EVENTS),
        ("workflow-audit", trail.AUDIT),
    ],
)
def test_the_page_lists_every_field_in_the_order_of_the_mapping(index: str, fields: dict[str, Any]) -> None:
    assert described(index) == mapped(fields)
