"""What templates may speak of, checked when a definition is loaded: names, inputs, and steps that have run by then."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ..errors import Violation
from ..outline import Layer, StepTree, Tree, given_names, layers
from ..outline.places import Sight
from ..templates import CONTEXT_NAMES, LATER_NAMES, PLACED_NAMES, Reference
from ..words import did_you_mean, listed, nearest
from .later import not_yet

STEP_FACTS = ("result", "status", "error", "attempts", "started_at", "approval")
FOREACH_FACTS = (*STEP_FACTS, "failures")
INSTANCE_FACTS = ("id", "name", "version", "tenant", "space", "started_at")
ERROR_FACTS = ("type", "message", "step")
APPROVAL_FACTS = ("decision", "by", "comment", "form")
START_NAMES = ("inputs", "trigger")
"""What is there before an instance is."""

_WHERE = {
    "item": "`item` is there inside a `foreach` only",
    "index": "`index` is there inside a `foreach` or a `while` only",
    "error": "`error` is there only in `on_failure`, `on_cancel`, and in a `compensate` outside of `foreach` (inside, "
    "its input is made when the item is done); `steps.<name>.error` says why a step failed",
    "approval": "`approval` is there only in the `input` and `with` of a step with `requires_approval: true`; "
    "`steps.<name>.approval` is there after it",
    "memory": "`memory` is there only in a definition that says whose: add `memory: {key: ...}` to it",
}


@dataclass(frozen=True, slots=True)
class View:
    """What the templates of one place see. `start_key`: the key of the definition that is evaluated before a start."""

    layers: tuple[Layer, ...] = ()
    names: frozenset[str] = frozenset()
    start_key: str | None = None


class Scope:
    """What there is to speak of in one definition. `inputs` is None where it declares none and takes any."""

    def __init__(self, tree: Tree, raw: Mapping[str, object]) -> None:
        self._tree = tree
        self._inputs = _input_names(raw)
        self._of_all = frozenset({"memory"}) if "memory" in raw else frozenset()
        self._set_names = _set_names(tree)
        self._paths: dict[str, str] | None = None

    def of(self, step: StepTree | None, sight: Sight = "step") -> View:
        """What a step's templates see, or (None) those of the outputs."""
        names = frozenset() if step is None else given_names(step, sight)
        return View(layers(self._tree, step, sight), names | self._of_all)

    def violations(self, references: Collection[Reference], view: View) -> Iterator[Violation]:
        """What is spoken of and can't be."""
        for reference in references:
            found = self._violation(reference, view)
            if found is not None:
                yield found

    def _violation(self, reference: Reference, view: View) -> Violation | None:
        name, keys = reference.name, reference.keys
        if view.start_key is not None and name not in START_NAMES:
            return _before_start(reference, view.start_key)
        if name not in CONTEXT_NAMES and name not in view.names:
            return None if reference.guarded else _no_name(reference, view)
        if name == "steps" and keys:
            return self._of_step(reference, view.layers)
        if not keys or reference.guarded:
            return None
        if name == "inputs" and self._inputs is not None:
            return _member(reference, "input", self._inputs, "`inputs` declares")
        if name == "instance":
            return _member(reference, "fact of an instance", INSTANCE_FACTS, "there are")
        if name == "vars":
            return _member(reference, "variable", self._set_names, "`set` steps set")
        if name == "error":
            return _member(reference, "fact of an error", ERROR_FACTS, "there are")
        if name == "approval":
            return _member(reference, "fact of an approval", APPROVAL_FACTS, "there are")
        return None

    def _of_step(self, reference: Reference, seen: tuple[Layer, ...]) -> Violation | None:
        target = str(reference.keys[0])
        layer = next((layer for layer in seen if target in layer.visible), None)
        if layer is None:
            layer = next((layer for layer in seen if target in layer.block.graph.depends_on), None)
            if layer is None:
                return self._unknown(reference, target, seen)
            if not layer.block.graph.cyclic:
                return _at(reference, _too_early(target, layer, seen), target)
        if len(reference.keys) > 1 and not reference.guarded:
            return _fact(reference, str(reference.keys[1]), layer.block.kind_of(target))
        return None

    def _unknown(self, reference: Reference, target: str, seen: tuple[Layer, ...]) -> Violation:
        if self._paths is None:
            self._paths = {step.name: step.path for step in self._tree.walk() if step.name is not None}
        elsewhere = self._paths.get(target)
        if elsewhere is not None:
            return _at(reference, _elsewhere(target, elsewhere), target)
        names = list(dict.fromkeys(name for layer in seen for name in layer.block.graph.depends_on))
        near = nearest(target, names)
        known = "" if near else f"; there are {listed(names)}"
        return _at(reference, f"there is no step `{target[:100]}`{did_you_mean(near)}{known}", target[:100], near)


def _fact(reference: Reference, fact: str, kind: str | None) -> Violation | None:
    known = FOREACH_FACTS if kind == "foreach" else STEP_FACTS
    if fact in known:
        return None
    near = nearest(fact, known) or "result"
    whose = "a step that is no `foreach`" if fact in FOREACH_FACTS else "a step"
    return _at(reference, f"{whose} has no `{fact[:100]}`; there are {listed(known)}", fact[:100], near)


def _elsewhere(target: str, path: str) -> str:
    owner = path.split(".")[0]
    if owner in ("on_failure", "on_cancel"):
        return f"`{target}` stands in the definition's `{owner}`; only steps there see it"
    return (
        f"`{target}` stands inside `{owner}`, and can't be seen from outside; `steps.{owner}.result` has what it gives"
    )


def _too_early(target: str, layer: Layer, seen: tuple[Layer, ...]) -> str:
    step, graph, at = layer.step, layer.block.graph, seen.index(layer)
    if target == step and at == 0:
        return f"`{step}` can't see itself: it has not run yet when its templates are evaluated"
    if target == step and seen[at - 1].block.role == "handler":
        return f"`{step}` has failed where its `on_failure` runs, so it has no result; `error` says why"
    if target == step:
        return f"`{step}` is not done while the steps inside it run, so its result is not there yet"
    if step in graph.ancestors.get(target, ()):
        return f"`{target}` does not run before `{step}` but after it, so its result is not there yet"
    message = f"`{target}` does not run before `{step}`, so its result is not there yet"
    return f"{message}; add `{target}` to the `depends_on` of `{step}`"


def _before_start(reference: Reference, key: str) -> Violation | None:
    name = reference.name
    if name in CONTEXT_NAMES or name in PLACED_NAMES:
        message = f"`{key}` is evaluated before there is an instance, so it can't see `{name}`; there are "
        return _at(reference, message + listed(START_NAMES), name)
    return None if reference.guarded else _no_name(reference, View(start_key=key))


def _no_name(reference: Reference, view: View) -> Violation:
    name = reference.name
    if name in LATER_NAMES:
        return _at(reference, f"{not_yet(name)} in templates", name)
    if name in _WHERE:
        return _at(reference, _WHERE[name], name)
    there = START_NAMES if view.start_key is not None else (*CONTEXT_NAMES, *sorted(view.names))
    near = nearest(name, [*there, "range", "loop", "true", "false", "none"])
    known = "" if near else f"; there are {listed(there)}"
    return _at(reference, f"there is no name `{name[:100]}`{did_you_mean(near)}{known}", name[:100], near)


def _member(reference: Reference, what: str, known: Collection[str], words: str) -> Violation | None:
    key = str(reference.keys[0])
    if key in known:
        return None
    near = nearest(key, known)
    rest = "" if near else f"; {words} {listed(known)}" if known else f"; {words} none"
    return _at(reference, f"there is no {what} `{key[:100]}`{did_you_mean(near)}{rest}", key[:100], near)


def _at(reference: Reference, message: str, found: str, near: str | None = None) -> Violation:
    line, column = reference.place()
    return Violation(reference.path, message, line, column, found, nearest=near)


def _input_names(raw: Mapping[str, object]) -> Collection[str] | None:
    """The declared inputs as far as they can be read of a definition with errors; None where there are none."""
    declared = raw.get("inputs")
    if "inputs" not in raw:
        return None
    return [name for name in declared if isinstance(name, str)] if isinstance(declared, dict) else None


def _set_names(tree: Tree) -> Collection[str]:
    """The variables that any step sets."""
    given = (step.raw.get("set") for step in tree.walk())
    return list(dict.fromkeys(name for names in given if isinstance(names, dict) for name in names))
