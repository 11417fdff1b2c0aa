"""The pages agree with each other and with the code."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from leasehold.core.app.sources import SHORT_NAMES
from leasehold.core.metrics import Metrics
from leasehold.core.settings import Settings

from tests.kit.markdown import ROOT, anchors, pages, relative_links, table

OPERATIONS = (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in pages()])
def test_every_relative_link_leads_somewhere(page: str) -> None:
    path = ROOT / page
    broken = []
    for link in relative_links(path.read_text()):
        target, _, anchor = link.partition("#")
        to = (path.parent / target).resolve() if target else path
        if not to.exists() or (anchor and anchor not in anchors(to.read_text())):
            broken.append(link)
    assert broken == []


def test_every_setting_is_in_the_operations_table_with_its_default() -> None:
    documented = {cells[0].strip("`"): cells[1].strip("`") for cells in table(OPERATIONS, "setting")}
    components: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    defaults = {
        f"{name}.{field.name}": _in_words(field.default)
        for name, component in components.items()
        for field in msgspec.structs.fields(component)
    }
    assert documented == defaults


def test_every_short_variable_name_is_on_the_operations_page() -> None:
    assert {name for name in SHORT_NAMES if f"`{name}`" not in OPERATIONS} == set()


def test_every_metric_is_in_the_operations_table() -> None:
    documented = {cells[0].strip("`") for cells in table(OPERATIONS, "metric")}
    families = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}
    assert documented == families


def test_architecture_numbers_its_invariants_without_a_gap() -> None:
    _, _, section = (ROOT / "docs/architecture.md").read_text().partition("## Invariants")
    numbers = [int(number) for number in re.findall(r"^(\d+)\. \*\*", section, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_architecture_names_modules_that_exist() -> None:
    _, _, section = (ROOT / "docs/architecture.md").read_text().partition("## Invariants")
    holders = {name for group in re.findall(r"\[(`[^\]]+`)\]", section) for name in re.findall(r"`([^`]+)`", group)}
    assert "lanes.commits.committer" in holders
    assert {name for name in holders if not _is_module(name)} == set()


def test_decision_records_have_the_four_parts() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text()
        assert re.match(rf"# {int(path.name[:4])}\. \S", text), path.name
        for part in ("Status: ", "## Context", "## Decision", "## Consequences"):
            assert part in text, f"{path.name} lacks {part}"


def _is_module(name: str) -> bool:
    paths = [base / name.replace(".", "/") for base in (ROOT, ROOT / "core")]
    return any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths)


def _in_words(default: Any) -> str:
    if default is None:
        return "none"
    return ",".join(default) if isinstance(default, tuple) else str(default)
