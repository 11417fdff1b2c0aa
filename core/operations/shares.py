"""Where a step is that people name: in the instance itself, or in a child that runs a share of a foreach's items."""

from __future__ import annotations

import re

from ..machine.children import CHILD_ITEMS
from ..machine.state import Instance

_ITEM = re.compile(r"\[(\d+)\]")


def share_with(instance: Instance, path: str) -> str | None:
    """The id of the child under way that runs the item in which the step at `path` stands.

    None where the instance has the step itself, or no child under way has it.
    """
    if path in instance.steps:
        return None
    for match in _ITEM.finditer(path):
        state = instance.steps.get(path[: match.start()])
        if state is None or state.flow is None:
            continue
        number = int(match[1]) // CHILD_ITEMS
        for child in state.flow.children:
            if child.number == number:
                return child.id
    return None
