"""Which kind a step is: the one key of it that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..fields import refusal
from ..words import listed, nearest

FLOW_KINDS = (
    *("foreach", "parallel", "switch", "while", "workflow", "wait", "until", "wait_for_signal", "set", "remember"),
    *("fail", "succeed"),
)
KINDS = ("executor", *FLOW_KINDS)
"""Each of these keys makes a step one of that kind."""

TAG = "\0"
"""What the tags of unions begin with in the places of pydantic's errors, where no author sees them."""


def kinds_of(step: Mapping[str, Any]) -> list[str]:
    """The kinds that a step claims to be, in the order of its keys; one, for a sound step."""
    found = [key for key in step if key in KINDS]
    if "foreach" in found and "workflow" in found:
        found.remove("workflow")  # what a foreach calls for each item
    return found


def kind_of(step: Any) -> str | None:
    """The kind of a step that has one and only one."""
    found = kinds_of(step) if isinstance(step, dict) else []
    return found[0] if len(found) == 1 else None


def check_kind(step: Any) -> Any:
    """Let steps of one kind pass to their model."""
    if not isinstance(step, dict):
        return step
    found = kinds_of(step)
    if len(found) > 1:
        message = f"found `{found[0]}` and `{found[1]}`; a step is of one kind: {_way_out(found)}"
        raise refusal(message, found=found[1], key=found[1])
    if not found:
        _check_kindless(step)
    return step


def tag_of(step: Any) -> str:
    """The tag of the model that a step is for, or that it is of already.

    What is no step at all is for that of an executor's step, which says so.
    """
    return TAG + (kind_of(step) or str(getattr(step, "KIND", "executor")))


def _way_out(found: list[str]) -> str:
    loop = next((kind for kind in found if kind in ("foreach", "while")), None)
    if loop is None:
        return "make two steps of it"
    return f"put a step with `{next(kind for kind in found if kind != loop)}` under `steps:` of the `{loop}`"


def _check_kindless(step: Mapping[str, Any]) -> None:
    """Refuse what was meant as some kind. The rest passes to the model of an executor's step, which misses its key."""
    for key in step:
        if key in _KIND_OF_KEY:
            kind = _KIND_OF_KEY[key]
            raise refusal(f"`{key}` belongs to steps with {kind}, which this one does not have", found=key, key=key)
        near = nearest(key, KINDS) if isinstance(key, str) and key not in _COMMON else None
        if near is not None:
            raise refusal(f"unknown key `{key[:100]}`; did you mean `{near}`?", found=key[:100], key=key)


EXECUTOR_MISSING = f"`executor` is missing; a step has it, or one of {listed(FLOW_KINDS)}"
_COMMON = frozenset({"name", "depends_on", "if", "input", "with", "timeout", "model", "retry"})
_KIND_OF_KEY = {
    **dict.fromkeys(("max_parallel", "on_item_failure"), "`foreach`"),
    **dict.fromkeys(("cases", "else"), "`switch`"),
    "steps": "`foreach` or `while`",
    "wait_for": "`parallel`",
    "max_iterations": "`while`",
    "version": "`workflow`",
    "on_timeout": "`wait_for_signal`",
}
