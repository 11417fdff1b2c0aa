"""What the commands about workflows take besides a file: values for its blueprint, blocks of other files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ....claim.errors import needs
from .failures import CommandFailed
from .pairs import pairs_of

if TYPE_CHECKING:
    from ....definitions import Definition, DefinitionError
    from ....definitions.blueprints import Expansion

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A value for a parameter of the blueprint; may be repeated."),
]
ValuesOption = Annotated[
    Path | None, typer.Option("--values", metavar="FILE", help="YAML with values for the blueprint's parameters.")
]
BlocksOption = Annotated[
    list[Path] | None, typer.Option("--blocks", metavar="FILE", help="YAML with blocks to use; may be repeated.")
]


def expansion_of(settings: list[str] | None, values: Path | None, blocks: list[Path] | None) -> Expansion:
    """What the options say. Raises: CommandFailed."""
    with needs("server", "this command"):
        from ....definitions import DefinitionError
        from ....definitions.blueprints import Block, Expansion, blocks_of, values_of
    texts = {name.strip(): text for name, text in pairs_of("--set", settings).items()}
    try:
        given = values_of(read(values), origin=str(values)) if values is not None else {}
        shared: dict[str, Block] = {}
        for path in blocks or []:
            shared |= blocks_of(read(path), origin=str(path))
    except DefinitionError as error:
        raise CommandFailed(str(error)) from None
    return Expansion(values=given, texts=texts, blocks=shared)


def definitions_of(path: Path, expansion: Expansion) -> list[Definition] | DefinitionError:
    """The definitions of a file, written out, or what is wrong with them. Raises: CommandFailed if it can't be read."""
    with needs("server", "this command"):
        from ....definitions import DefinitionError, load
    source = read(path)
    try:
        return list(load(source, origin=str(path), expansion=expansion))
    except DefinitionError as error:
        return error


def read(path: Path) -> bytes:
    """What a file holds; `-` is standard input. Raises: CommandFailed."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}") from None
