"""The language's page as its tests read it: every example, with what its fence says of it.

An example is a fenced block of YAML. Its info string says what it is: nothing, a definition that succeeds;
`failed=<type>`, one that fails so; `refused`, one that does not load, followed by a block of text with what is printed;
`values=<blueprint>` and `rendered=<blueprint>`, the values for a blueprint of the page and what it gives with them.

`python -m tests.kit.language_page` writes what is printed and what is given anew, after the words of an error or an
example have changed.
"""

from __future__ import annotations

import re
from typing import Any

from leasehold.definitions import Definition, DefinitionError, load
from leasehold.definitions.blueprints import Expansion, values_of
from msgspec import Struct

from .markdown import ROOT

PATH = ROOT / "docs/language.md"
ORIGIN = "definition.yaml"

_FENCE = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"^(?:name|blueprint): (\S+)", re.MULTILINE)


class Example(Struct, frozen=True):
    """One example. `line` is where its fence stands; `says` is the block of text behind one that is refused."""

    text: str
    kind: str
    about: str
    line: int
    says: str | None = None

    @property
    def name(self) -> str:
        """What its first document is called."""
        found = _NAME.search(self.text)
        return found[1] if found else ""

    @property
    def is_blueprint(self) -> bool:
        return self.text.startswith("blueprint:")


def examples(page: str) -> list[Example]:
    """Every example of the page, in order."""
    fences = list(_FENCE.finditer(page))
    found = []
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] == "yaml":
            kind, _, about = fence[2].partition("=")
            says = after[3] if after is not None and after[1] == "text" else None
            line = page.count("\n", 0, fence.start()) + 1
            found.append(Example(fence[3], kind or "succeeds", about, line, says))
    return found


PAGE = PATH.read_text()
EXAMPLES = examples(PAGE)


def of_kind(*kinds: str) -> list[Example]:
    return [example for example in EXAMPLES if example.kind in kinds]


def runnable() -> list[Example]:
    """The examples that are definitions, or give one."""
    return of_kind("succeeds", "failed")


def definitions_of(example: Example) -> list[Definition]:
    """The definitions of an example; a blueprint has the values that the page gives for it."""
    return load(example.text, origin=ORIGIN, expansion=Expansion(values=values_for(example)))


def values_for(example: Example) -> dict[str, Any]:
    return next((values_of(one.text) for one in of_kind("values") if one.about == example.name), {})


def refusal_of(example: Example) -> str:
    """What is printed about an example that does not load; empty for one that does."""
    try:
        load(example.text, origin=ORIGIN)
    except DefinitionError as error:
        return f"{error}\n"
    return ""


def rewritten() -> str:
    """The page with what its examples print and give today."""
    parts, at = [], 0
    for fence in _FENCE.finditer(PAGE):
        kind, _, about = fence[2].partition("=")
        said = fence[3]
        if kind == "rendered":
            (example,) = (one for one in runnable() if one.is_blueprint and one.name == about)
            said = definitions_of(example)[0].source
        elif fence[1] == "text":
            before = max(
                (one for one in EXAMPLES if one.line < PAGE.count("\n", 0, fence.start())), key=lambda one: one.line
            )
            said = refusal_of(before) if before.kind == "refused" else said
        parts += [PAGE[at : fence.start(3)], said]
        at = fence.end(3)
    return "".join([*parts, PAGE[at:]])


if __name__ == "__main__":
    PATH.write_text(rewritten())
