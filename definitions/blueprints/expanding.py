"""Documents with parameters and blocks to ordinary documents, before anything else looks at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from ..errors import Violation
from ..source.documents import read_documents
from ..source.nodes import Document, Node
from .building import Builder, Entry, TooLarge
from .placing import Placing
from .spec import KEYS, Header, header_of
from .using import Block, Using
from .values import Giver, checked
from .writing import written

_TEXT_TYPES = ("string", "duration", "timestamp")
_NOTHING = Node({}, 0, 0)


@dataclass(frozen=True, slots=True)
class Expansion:
    """What comes from outside a text: values for its blueprint, and blocks of other files.

    `texts` are values as somebody types them (`--set hosts=[a, b]`): read as YAML where the declared type is no kind
    of text. They come before `values`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    blocks: Mapping[str, Block] = field(default_factory=dict)

    @property
    def given(self) -> set[str]:
        """The names of all parameters that were given."""
        return {*self.values, *self.texts}


def expanded(documents: Sequence[Document], expansion: Expansion) -> tuple[list[Document], list[Violation]]:
    """The documents written out, those without anything to write out as they are, and what is wrong with the others.

    A document of nothing but `blocks` gives them to the other documents of the text, and is no definition itself.
    """
    violations: list[Violation] = []
    headers = [_header(document, violations) for document in documents]
    blocks = dict(expansion.blocks)
    for document, header in zip(documents, headers, strict=True):
        if header is not None and is_library(document):
            blocks |= blocks_in(header, document.root)
    made = []
    for document, header in zip(documents, headers, strict=True):
        if header is not None and not is_library(document):
            one = _expanded(document, header, expansion, blocks, violations)
            made += [one] if one is not None else []
    if expansion.given and not any(header is not None and header.blueprint for header in headers) and not violations:
        name = min(expansion.given)
        violations.append(Violation("", f"found a value for `{name[:100]}`, but there is no blueprint here", 1, 1))
    if documents and not made and not violations:
        violations.append(Violation("", "found blocks and no definition that uses them", 1, 1))
    return made, violations


def is_library(document: Document) -> bool:
    """Whether a document holds blocks and nothing else."""
    raw = document.root.value
    return isinstance(raw, dict) and "blocks" in raw and set(raw) <= {"blocks", "description"}


def blocks_in(header: Header, root: Node, *, shared: bool = False) -> dict[str, Block]:
    """The blocks of one document."""
    return {name: Block(spec, root.at(("blocks", name)), shared) for name, spec in (header.blocks or {}).items()}


def _header(document: Document, violations: list[Violation]) -> Header | None:
    if not isinstance(document.root.value, dict):
        return Header()
    header, found = header_of(document.root)
    violations += found
    return header


def _expanded(
    document: Document,
    header: Header,
    expansion: Expansion,
    blocks: Mapping[str, Block],
    violations: list[Violation],
) -> Document | None:
    before = len(violations)
    builder = Builder()
    try:
        root = _rendered(document.root, header, expansion, builder, violations)
        if isinstance(root.value, dict):
            root = Using({**blocks, **blocks_in(header, document.root)}, builder, violations).document(root)
    except TooLarge as error:
        violations.append(error.violation)
    if len(violations) > before:
        return None
    return document if root is document.root else _stored(document, root, header, violations)


def _rendered(root: Node, header: Header, expansion: Expansion, builder: Builder, violations: list[Violation]) -> Node:
    """The document without its header, and with the values of its parameters in their places."""
    if not isinstance(root.value, dict) or not any(key in root.value for key in KEYS):
        return root
    if header.blueprint is None and "parameters" in root.value:
        message = "`parameters` are those of a blueprint or a block; name it with `blueprint:`, or declare `inputs`"
        violations.append(Violation("parameters", message, *root.key_place(("parameters",))))
    kept: list[Entry] = [
        (str(key), root.key_places[str(key)], child) for key, child in root.children.items() if key not in KEYS
    ]
    body = builder.mapping(root, kept)
    if header.blueprint is None:
        return body
    declarations = root.children.get("parameters", _NOTHING)
    line, column = root.key_place(("parameters",) if "parameters" in root.children else ("blueprint",))
    giver = Giver(f"of the blueprint `{header.blueprint}`", ("parameters",), line, column, outside=True)
    values, faults = checked(header.parameters or {}, declarations, _given(header, expansion), giver)
    violations += faults
    return body if faults else Placing(values, builder, violations).placed(body, ())


def _given(header: Header, expansion: Expansion) -> dict[str, Any]:
    """The values for a blueprint, with those that were typed read as their declarations say."""
    given = dict(expansion.values)
    for name, text in expansion.texts.items():
        spec = (header.parameters or {}).get(name)
        given[name] = text if spec is None or spec.type in _TEXT_TYPES else _typed(text)
    return given


def _typed(text: str) -> Any:
    """A value as YAML; text that is none stays what it is, and is refused as such."""
    _, documents, violations = read_documents(text)
    return documents[0].root.value if len(documents) == 1 and not violations else text


def _stored(document: Document, root: Node, header: Header, violations: list[Violation]) -> Document | None:
    """The document with the YAML that is stored, which must say the same as what is checked."""
    source = _remark(document, header) + written(root.value)
    _, read, faults = read_documents(source)
    if faults or [one.root.value for one in read] != [root.value]:
        reason = faults[0].message if faults else "it does not say the same"
        message = f"written out, the definition can't be stored: {reason}"
        violations.append(Violation("", message, document.root.line, document.root.column))
        return None
    return replace(document, root=root, source=source)


def _remark(document: Document, header: Header) -> str:
    """The comment above the definition: where it comes from; without a blueprint the author's own."""
    if header.blueprint is not None:
        return f"# Rendered from the blueprint {header.blueprint}.\n"
    lines = document.source.removeprefix("---").strip().splitlines()
    return "".join(f"{line}\n" for line in takewhile(lambda line: line.startswith("#"), lines))
