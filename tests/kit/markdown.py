"""Reading the project's own pages: code blocks, links, tables."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Block(Struct, frozen=True):
    """A fenced code block: its language, and its text."""

    language: str
    text: str


def pages() -> list[Path]:
    """Every Markdown page that the project ships, in a stable order."""
    return sorted(
        [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("examples/*.md")]
    )


def blocks(text: str) -> list[Block]:
    return [Block(*match.groups()) for match in _FENCE.finditer(text)]


def relative_links(text: str) -> list[str]:
    """Link targets that are no addresses, outside code blocks."""
    return [target for target in _LINK.findall(_FENCE.sub("", text)) if "://" not in target]


def anchors(text: str) -> set[str]:
    """What `#...` may name on a page, by the rules that forges share."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(_FENCE.sub("", text))
    }


def table(text: str, header: str) -> list[list[str]]:
    """The rows of the table whose first header cell is `header`, as lists of cells."""
    rows: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and inside and not cells[0].startswith("---"):
            rows.append(cells)
        inside = bool(cells) and (inside or cells[0] == header)
    return rows
