"""What is given for parameters, against their declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputsError, Violation
from ..inputs.params import ParamsCheck, kind_words
from ..inputs.spec import InputSpec
from ..source.nodes import Key, Node
from ..templates import has_template, path_text
from ..words import did_you_mean, listed, nearest

Specs = Mapping[str, InputSpec]


@dataclass(slots=True)
class Values:
    """The values of one blueprint, or of one use of a block, by parameter; `declared` are all that there could be.

    A value without a node comes from outside the text.
    """

    declared: Specs
    given: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Giver:
    """Who gives values, for messages: "of the block `notify`", under `path`, at this place.

    `node` is the mapping that holds them in the text, if there is one. `outside`: they come from elsewhere.
    """

    whose: str
    path: tuple[Key, ...]
    line: int
    column: int
    node: Node | None = None
    outside: bool = False

    def place_of(self, name: str, declarations: Node) -> tuple[int, int]:
        """Where the value is given; for one from outside the text, where its parameter is declared."""
        if self.node is None:
            return declarations.key_place((name,))
        child = self.node.children[name]
        return child.line, child.column


def checked(specs: Specs, declarations: Node, given: Mapping[str, Any], giver: Giver) -> tuple[Values, list[Violation]]:
    """The values that hold, defaults among them, and what is wrong with those given.

    `declarations` is the node of `parameters`, where defaults stand. A value with a template in it is known at run
    time alone, and passes.
    """
    values = Values(specs)
    violations = list(_unknown(specs, given, giver))
    for name, spec in specs.items():
        if name in given:
            values.given[name] = given[name]
            if giver.node is not None:
                values.nodes[name] = giver.node.children[name]
            if not has_template(given[name]):
                violations += _faults(name, spec, given[name], giver, giver.place_of(name, declarations))
        elif "default" in spec.model_fields_set:
            values.given[name] = spec.default
            values.nodes[name] = declarations.at((name, "default"))
        elif spec.required:
            allowed = kind_words(spec)
            message = f"the parameter `{name}` {giver.whose} is missing; it is required: {allowed}"
            path = path_text((*giver.path, name))
            place = declarations.key_place((name,)) if giver.outside else (giver.line, giver.column)
            violations.append(Violation(path, message, *place, allowed=allowed))
    return values, violations


def _unknown(specs: Specs, given: Mapping[str, Any], giver: Giver) -> Iterator[Violation]:
    for name in given:
        if name not in specs:
            near = nearest(name, specs)
            known = listed(specs) if specs else "none"
            end = did_you_mean(near) if near else f"; there are: {known}"
            place = (giver.line, giver.column) if giver.node is None else giver.node.key_place((name,))
            message = f"found the parameter `{name[:100]}`, which is none {giver.whose}{end}"
            yield Violation(path_text((*giver.path, name[:100])), message, *place, name[:100], known, near)


def _faults(name: str, spec: InputSpec, value: Any, giver: Giver, place: tuple[int, int]) -> Iterator[Violation]:
    try:
        ParamsCheck({name: spec})({name: value})
    except InputsError as error:
        for fault in error.violations:
            path = path_text((*giver.path, name)) + fault.path.removeprefix(f"params.{name}")
            yield Violation(path, fault.message, *place, fault.found, fault.allowed, fault.nearest)
