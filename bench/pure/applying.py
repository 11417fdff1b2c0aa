"""A recorded run through the machine, with what an owner has it do for the shares of a foreach."""

from __future__ import annotations

from typing import Any

from ...core.machine import Instance, advance
from ...core.machine.children import foreach_items, foreach_outer, items_child, items_left
from ...core.machine.events import ChildWanted
from ...core.replay import Recording
from ...definitions import Plan


def apply_all(recording: Recording, plan: Plan) -> Instance:
    """Apply every event; a share runs through when its parent wants it. Returns the last state of the instance."""
    return _applied(recording, recording.first(plan), plan)


def _applied(recording: Recording, first: Instance, plan: Plan) -> Instance:
    instance = first
    rendered: dict[str, tuple[list[Any], Any]] = {}
    for event in recording.events:
        transition = advance(instance, plan, event)
        instance = transition.instance
        for effect in transition.effects:
            if type(effect) is ChildWanted:
                if effect.path not in rendered:
                    items = foreach_items(instance, plan, effect.path)
                    rendered[effect.path] = items, foreach_outer(instance, plan, effect.path)
                _share(recording.shares[effect.child.id], instance, plan, effect, *rendered[effect.path])
    return instance


def _share(share: Recording, parent: Instance, plan: Plan, wanted: ChildWanted, items: list[Any], outer: Any) -> None:
    values = items[wanted.first : wanted.first + wanted.count]
    child = items_child(parent, plan, wanted, values, outer, at_ms=share.instance.created_at_ms)
    items_left(_applied(share, child, plan), plan)
