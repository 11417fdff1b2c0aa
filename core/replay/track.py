"""An instance on its way through recorded events, and what the outside gets to know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from ...definitions.plan import Foreach, Plan, SubWorkflow
from ...definitions.templates import TemplateError
from ..machine import AnyEvent, Claimed, Instance, Transition, advance, plain, render_input, with_values
from ..machine.children import foreach_items, foreach_outer, items_child
from ..machine.events import ChildWanted
from .comparing import consequences

T = TypeVar("T")


class Track:
    """The instance under one version; `before` is what it was before the last event."""

    def __init__(self, first: Instance, plan: Plan) -> None:
        self.instance = self.before = first
        self.plan = plan
        self._items: dict[tuple[str, int], list[Any]] = {}

    def take(self, event: AnyEvent) -> Transition:
        self.before = self.instance
        transition = advance(self.instance, self.plan, event)
        self.instance = transition.instance
        return transition

    def changed(self) -> Iterator[str]:
        """The run paths of the steps that the last event changed, began or dropped."""
        before, now = self.before.steps, self.instance.steps
        if before is not now:
            yield from (path for path, state in now.items() if before.get(path) is not state)
            yield from (path for path in before if path not in now)

    def given(self, event: AnyEvent, transition: Transition) -> dict[str, Any]:
        """What executors, children and history got to know of the event, by run path and what it is."""
        known = dict(consequences(transition.effects))
        if type(event) is Claimed and transition.refused is None:
            known[f"{event.path} with"] = self._or_error(self._with, event.path)
        for effect in transition.effects:
            if type(effect) is ChildWanted:
                known[f"{effect.path} child {effect.child.id}"] = self._or_error(self._start_of, effect)
        return known

    def share(self, wanted: ChildWanted, recorded: Instance) -> Track:
        """The share of a foreach that begins now; its time, and what counts its attempts, are those of the record."""
        instance, plan = self.instance, self.plan
        values = self._values(wanted)
        outer = foreach_outer(instance, plan, wanted.path)
        child = items_child(instance, plan, wanted, values, outer, at_ms=recorded.created_at_ms)
        assert child.items is not None
        assert recorded.items is not None
        base = recorded.items.base
        tokens = recorded.created_at_ms if base else 0
        return Track(replace(child, tokens=tokens, items=replace(child.items, base=base)), plan)

    def _start_of(self, wanted: ChildWanted) -> Any:
        """What a child begins with."""
        flow = self.plan.step(wanted.path).flow
        if isinstance(flow, SubWorkflow):
            return flow.workflow, flow.version, plain(render_input(self.instance, self.plan, wanted.path))
        assert isinstance(flow, Foreach)
        return wanted.first, self._values(wanted)

    def _values(self, wanted: ChildWanted) -> list[Any]:
        """The items of one share; the list is rendered once for all of them."""
        key = (wanted.path, self.instance.steps[wanted.path].attempt)
        if key not in self._items:
            self._items[key] = foreach_items(self.instance, self.plan, wanted.path)
        return self._items[key][wanted.first : wanted.first + wanted.count]

    def _with(self, path: str) -> Any:
        return with_values(self.instance, self.plan, path)

    def _or_error(self, render: Callable[[T], Any], of: T) -> Any:
        try:
            return render(of)
        except TemplateError as error:
            return str(error)
