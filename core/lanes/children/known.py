"""What an instance's state says of its children. Pure."""

from __future__ import annotations

from ...machine.state import Child, Instance, StepState


def open_children(instance: Instance) -> dict[str, tuple[str, Child]]:
    """The children under way, by id, each with the run path of its step."""
    return {
        child.id: (path, child)
        for path, step in instance.steps.items()
        if step.flow is not None
        for child in step.flow.children
    }


def lists(instance: Instance, child_id: str) -> bool:
    """Whether a step has this child under way: the one that began it, or one outside it that is to be done again."""
    return any(child_at(step, child_id) is not None for step in instance.steps.values())


def child_at(step: StepState | None, child_id: str) -> Child | None:
    """The step's child of that id, as long as it is under way."""
    if step is None or step.flow is None:
        return None
    return next((child for child in step.flow.children if child.id == child_id), None)


def is_share(instance: Instance) -> bool:
    """Whether the instance runs items of its parent's foreach; it is no instance of its own to the outside then."""
    return instance.items is not None
