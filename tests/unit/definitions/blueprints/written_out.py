"""Short ways from a text with parameters and blocks to what comes out of it."""

from __future__ import annotations

from typing import Any

from leasehold.definitions import Violation
from leasehold.definitions.blueprints import Expansion, blocks_of, expanded
from leasehold.definitions.source.documents import read_documents


def written_out(text: str, *, blocks: str = "", **values: Any) -> Any:
    """The value of the only definition in a text, written out."""
    made, violations = attempt(text, blocks=blocks, **values)
    assert violations == []
    (value,) = made
    return value


def attempt(text: str, *, blocks: str = "", **values: Any) -> tuple[list[Any], list[Violation]]:
    """The definitions of a text, written out, and what is wrong."""
    _, documents, violations = read_documents(text)
    assert violations == []
    shared = blocks_of(blocks) if blocks else {}
    made, violations = expanded(documents, Expansion(values=values, blocks=shared))
    return [document.root.value for document in made], violations


def refusal(text: str, *, blocks: str = "", **values: Any) -> Violation:
    """The only thing that is wrong with a text."""
    _, violations = attempt(text, blocks=blocks, **values)
    assert len(violations) == 1, violations
    return violations[0]


def blueprint(body: str, *parameters: str) -> str:
    """A blueprint with parameters, each a line such as `n: {type: integer}`, and this body."""
    lines = [f"  {parameter}" for parameter in parameters]
    return "\n".join(["blueprint: of-a-test", *(["parameters:", *lines] if lines else []), body]) + "\n"
