"""Short ways to definitions and to what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.definitions import Definition, DefinitionError, StepPlan, Violation, load


def one(text: str | bytes, **options: Any) -> Definition:
    """The only definition of a text."""
    (definition,) = load(text, **options)
    return definition


def with_steps(*steps: str, head: str = "") -> str:
    """A definition of these steps, each a flow mapping; a step stands on the line after the head, and so on."""
    return "\n".join(["name: x", *([head] if head else []), "steps:", *(f"  - {step}" for step in steps)]) + "\n"


def step(text: str, head: str = "") -> StepPlan:
    """The plan of a definition's only step, given by the keys behind its name and executor."""
    plan = one(with_steps(f"{{name: a, executor: x, {text}}}", head=head)).compile()
    return plan.steps["a"]


def faults(text: str | bytes, **options: Any) -> tuple[Violation, ...]:
    """Everything that is wrong with a text that must not load."""
    with pytest.raises(DefinitionError) as caught:
        load(text, **options)
    return caught.value.violations


def fault(text: str | bytes, **options: Any) -> Violation:
    """The only thing that is wrong with a text."""
    found = faults(text, **options)
    assert len(found) == 1, [(violation.path, violation.message) for violation in found]
    return found[0]


def marked(text: str) -> tuple[str, int, int]:
    """A text without its `¦`, and the line and column where that stood."""
    before, after = text.split("¦")
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
