"""Parts of the language that come later: known by name, and refused by it rather than as unknown keys."""

from __future__ import annotations

from typing import Any

from .fields import refusal

KINDS = (
    *("foreach", "switch", "parallel", "while", "workflow", "wait", "until", "wait_for_signal", "set", "remember"),
    *("fail", "succeed"),
)
"""Each of these keys makes a step another kind of step."""

STEP_KEYS = frozenset(
    {
        *KINDS,
        *("on_failure", "compensate", "cost", "max_parallel", "on_item_failure", "steps", "cases", "else", "wait_for"),
        *("max_iterations", "version", "on_timeout"),
    }
)
DEFINITION_KEYS = frozenset(
    {"budgets", "concurrency", "idempotency", "memory", "triggers", "on_failure", "on_cancel", "vars", "secrets"}
)


def not_yet(key: str) -> str:
    """The sentence that refuses a later key."""
    return f"`{key}` is not supported yet"


def later_kind(step: Any) -> str | None:
    """The key that makes the step one of a later kind."""
    return next((key for key in KINDS if key in step), None) if isinstance(step, dict) else None


def check_kind(step: Any) -> Any:
    """Let steps of the kinds that exist pass to their model."""
    kind = later_kind(step)
    if kind is not None:
        raise refusal(not_yet(kind), found=kind, key=kind)
    return step
