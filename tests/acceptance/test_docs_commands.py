"""Every command line that a page shows is one that the program takes."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer
from leasehold.core.app.commands.root import app

from tests.kit.markdown import ROOT, pages

# Typer has no public name for the class of what it says about a command line.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]

SHOWN = re.compile(r"`(leasehold [^`\n]+)`|^ {4}(?:\w+=\S+ )*(leasehold (?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE)


def lines() -> list[tuple[str, str]]:
    found = []
    for path in pages():
        for match in SHOWN.finditer(path.read_text()):
            line = (match[1] or match[2]).replace("\\\n", " ")
            found.append((str(path.relative_to(ROOT)), line))
    return found


def refused(line: str) -> str | None:
    """What the program says against it. A line that ends at a group of commands only speaks of the group."""
    command: Any = typer.main.get_command(app)
    _, *words = shlex.split(line)
    while hasattr(command, "commands"):
        if not words or words[0] in ("...", "--help", "--version"):
            return None
        for name in words[0].split("|"):
            if name not in command.commands:
                return f"there is no command {name!r}"
        command, words = command.commands[name], words[1:]
    if not words:
        return None
    context = command.context_class(command)
    try:
        _, rest, _ = command.make_parser(context).parse_args(words)
    except USAGE_ERROR as error:
        return str(error)
    return f"it takes no {rest}" if rest else None


def test_pages_show_commands() -> None:
    assert len(lines()) > 30


@pytest.mark.parametrize(("page", "line"), lines())
def test_a_command_line_on_a_page_is_taken(page: str, line: str) -> None:
    assert refused(line) is None


def test_lines_that_are_wrong_are_found() -> None:
    assert refused("leasehold instances sgnal ID") == "there is no command 'sgnal'"
    assert refused("leasehold instances signal ID done 5") == "it takes no ['5']"
    assert refused("leasehold instances show ID --nothing") is not None
