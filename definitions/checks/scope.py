"""What templates may speak of, checked when a definition is loaded: names, inputs, and steps that have run by then."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ..errors import Violation
from ..graph import Graph
from ..later import not_yet
from ..templates import CONTEXT_NAMES, LATER_NAMES, Reference
from ..words import did_you_mean, listed, nearest

STEP_FACTS = ("result", "status", "error", "attempts", "started_at")
INSTANCE_FACTS = ("id", "name", "version", "tenant", "space", "started_at")


@dataclass(frozen=True, slots=True)
class Scope:
    """`inputs` is None where a definition declares none and takes any."""

    graph: Graph
    inputs: Collection[str] | None

    def violations(self, references: Collection[Reference], step: str | None) -> Iterator[Violation]:
        """What the templates of a step (None: of `outputs`) speak of and can't."""
        for reference in references:
            found = self._violation(reference, step)
            if found is not None:
                yield found

    def _violation(self, reference: Reference, step: str | None) -> Violation | None:
        name, keys = reference.name, reference.keys
        if name not in CONTEXT_NAMES:
            return None if reference.guarded else _no_name(reference)
        if name == "steps" and keys:
            return self._of_step(reference, step)
        if name == "inputs" and keys and self.inputs is not None and not reference.guarded:
            return _member(reference, "input", self.inputs, "`inputs` declares")
        if name == "instance" and keys and not reference.guarded:
            return _member(reference, "fact of an instance", INSTANCE_FACTS, "there are")
        return None

    def _of_step(self, reference: Reference, step: str | None) -> Violation | None:
        target = str(reference.keys[0])
        names = self.graph.depends_on
        if target not in names:
            near = nearest(target, names)
            known = "" if near else f"; there are {listed(names)}"
            return _at(reference, f"there is no step `{target[:100]}`{did_you_mean(near)}{known}", target[:100], near)
        if step is not None and target == step:
            return _at(
                reference, f"`{step}` can't see itself: it has not run yet when its templates are evaluated", target
            )
        if step is not None and not self.graph.cyclic and target not in self.graph.ancestors.get(step, ()):
            return _at(reference, self._too_early(target, step), target)
        if len(reference.keys) > 1 and not reference.guarded and reference.keys[1] not in STEP_FACTS:
            fact = str(reference.keys[1])
            near = nearest(fact, STEP_FACTS) or "result"
            message = f"a step has no `{fact[:100]}`; there are {listed(STEP_FACTS)}"
            return _at(reference, message, fact[:100], near)
        return None

    def _too_early(self, target: str, step: str) -> str:
        if step in self.graph.ancestors.get(target, ()):
            return f"`{target}` does not run before `{step}` but after it, so its result is not there yet"
        message = f"`{target}` does not run before `{step}`, so its result is not there yet"
        return f"{message}; add `{target}` to the `depends_on` of `{step}`"


def _no_name(reference: Reference) -> Violation:
    name = reference.name
    if name in LATER_NAMES:
        return _at(reference, f"{not_yet(name)} in templates", name)
    near = nearest(name, [*CONTEXT_NAMES, "range", "loop", "true", "false", "none"])
    known = "" if near else f"; there are {listed(CONTEXT_NAMES)}"
    return _at(reference, f"there is no name `{name[:100]}`{did_you_mean(near)}{known}", name[:100], near)


def _member(reference: Reference, what: str, known: Collection[str], words: str) -> Violation | None:
    key = str(reference.keys[0])
    if key in known:
        return None
    near = nearest(key, known)
    rest = "" if near else f"; {words} {listed(known)}" if known else f"; {words} none"
    return _at(reference, f"there is no {what} `{key[:100]}`{did_you_mean(near)}{rest}", key[:100], near)


def _at(reference: Reference, message: str, found: str, near: str | None = None) -> Violation:
    return Violation(reference.path, message, reference.line, reference.column, found, nearest=near)


def input_names(raw: Mapping[str, object]) -> Collection[str] | None:
    """The declared inputs as far as they can be read of a definition with errors; None where there are none."""
    declared = raw.get("inputs")
    if "inputs" not in raw:
        return None
    return [name for name in declared if isinstance(name, str)] if isinstance(declared, dict) else None
