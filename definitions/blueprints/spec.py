"""What `blueprint`, `parameters` and `blocks` may hold, before any of it is written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ..checks.explaining import violations_of
from ..errors import Violation
from ..fields import Given, InputName, Model, Name, Text
from ..inputs.faults import faults
from ..inputs.spec import InputSpec
from ..source.nodes import Key, Node
from ..templates import path_text

PARAMETERS_MAX = 100
BLOCKS_MAX = 100

Parameters = Annotated[dict[InputName, InputSpec], Field(max_length=PARAMETERS_MAX)]


class BlockSpec(Model):
    """A list of steps with parameters. The steps are checked where they stand once they are placed."""

    description: Given[Text] = Field(default=None, description="For people.")
    parameters: Given[Parameters] = Field(default=None, description="What `with` gives, declared as inputs are.")
    steps: Annotated[list[Any], Field(min_length=1)] = Field(description="What stands where the block is used.")


class Header(Model):
    """The keys of a document that are gone once it is written out."""

    blueprint: Given[Name] = Field(default=None, description="The blueprint's name; it makes the document one.")
    parameters: Given[Parameters] = Field(default=None, description="What its user gives, declared as inputs are.")
    blocks: Given[Annotated[dict[Name, BlockSpec], Field(max_length=BLOCKS_MAX)]] = Field(
        default=None, description="Lists of steps to `use`."
    )


KEYS = tuple(Header.model_fields)


def header_of(root: Node) -> tuple[Header | None, list[Violation]]:
    """The header of a document whose root is a mapping, or what is wrong with it."""
    try:
        header = Header.model_validate({key: root.value[key] for key in KEYS if key in root.value})
    except ValidationError as error:
        return None, violations_of(error, Header, root)
    violations = list(_declared(header, root))
    return (None if violations else header), violations


def _declared(header: Header, root: Node) -> Iterator[Violation]:
    """Declarations that contradict themselves."""
    yield from _contradictions(header.parameters, ("parameters",), root)
    for name, block in (header.blocks or {}).items():
        yield from _contradictions(block.parameters, ("blocks", name, "parameters"), root)


def _contradictions(specs: Mapping[str, InputSpec] | None, path: tuple[Key, ...], root: Node) -> Iterator[Violation]:
    for name, spec in (specs or {}).items():
        for keys, message in faults(spec):
            place = (*path, name, *keys)
            line, column = root.key_place(place)
            yield Violation(path_text(place), message, line, column)
