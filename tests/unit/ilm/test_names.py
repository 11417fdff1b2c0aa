"""How the concrete indices behind rolled aliases are named, and told from all others."""

from __future__ import annotations

import pytest
from leasehold.ilm import FAMILIES, IndexNames

NAMES = IndexNames("workflow")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", [1, 42, 999_999, 1_000_000])
def test_a_number_is_found_again_in_the_name_that_it_gives(family: str, number: int) -> None:
    alias = NAMES.rolled(family)
    assert NAMES.number_of(alias, NAMES.numbered(alias, number)) == number


def test_the_first_is_number_one() -> None:
    assert NAMES.first(NAMES.steps) == NAMES.numbered(NAMES.steps, 1) == "workflow-steps-000001"


@pytest.mark.parametrize(
    "index",
    [
        "workflow-steps",
        "workflow-steps-1",
        "workflow-steps-00001",
        "workflow-steps-000001-copy",
        "restored-workflow-steps-000001",
        "workflow-steps-old-000001",
        "workflow-instances-000001",
        "workflow-steps-٠٠٠٠٠١",
    ],
)
def test_other_names_have_no_number(index: str) -> None:
    assert NAMES.number_of("workflow-steps", index) is None
