"""The page on testing is true: its examples are tests, and pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import leasehold.core.testing
import pytest

from tests.kit.markdown import ROOT, blocks

PAGE = (ROOT / "docs/testing.md").read_text()


def examples() -> dict[str, Callable[[], None]]:
    names: dict[str, Any] = {}
    for block in blocks(PAGE):
        if block.language == "python":
            exec(compile(block.text, "docs/testing.md", "exec"), names)
    return {name: value for name, value in names.items() if name.startswith("test_")}


EXAMPLES = examples()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_example_passes(name: str) -> None:
    EXAMPLES[name]()


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_the_page_names_all_that_a_test_can_call() -> None:
    run = leasehold.core.testing.Run
    public = {name for name in vars(run) if not name.startswith("_")}
    told = {name for name in public if f"run.{name}" in PAGE}
    assert public - told == {"events"}
