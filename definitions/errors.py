"""What can be wrong with a definition, with the values given to it, and with a template while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_VIOLATIONS = 100
_EXCERPT_CHARS = 120


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong. `path` is like `steps[2].retry.max`; `line` and `column` count from 1.

    `message` is a whole sentence; `found`, `allowed` and `nearest` are its facts apart, for programs. `nearest` is the
    valid word closest to what was found, where one is close.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None


class DefinitionError(Exception):
    """Root of this package's errors; raised itself for a YAML text that holds no valid definition.

    `violations` has everything that was found wrong, in the order of the text. `str()` is for a terminal: one
    paragraph a violation, with the line of YAML that it is about. `summary` is one sentence.
    """

    def __init__(self, violations: Sequence[Violation], *, origin: str = "", source: str = "") -> None:
        super().__init__(origin)
        self.violations = tuple(violations)
        self.origin = origin
        self._lines = tuple(source.split("\n")) if source else ()

    @property
    def summary(self) -> str:
        """How many violations there are, and the first one."""
        first = self.violations[0]
        place = f" (line {first.line}, column {first.column})" if first.line is not None else ""
        detail = f"{first.path}: {first.message}{place}" if first.path else f"{first.message}{place}"
        return detail if len(self.violations) == 1 else f"{len(self.violations)} violations; the first: {detail}"

    def __str__(self) -> str:
        shown = [self._paragraph(violation) for violation in self.violations[:SHOWN_VIOLATIONS]]
        if len(self.violations) > SHOWN_VIOLATIONS:
            shown.append(f"... and {len(self.violations) - SHOWN_VIOLATIONS} more")
        return "\n".join(shown)

    def _paragraph(self, violation: Violation) -> str:
        place = f"{violation.line}:{violation.column}" if violation.line is not None else ""
        head = ":".join(part for part in (self.origin, place) if part)
        text = ": ".join(part for part in (head, violation.path, violation.message) if part)
        if violation.line is None or not 0 < violation.line <= len(self._lines):
            return text
        return f"{text}\n{self._excerpt(violation.line, violation.column or 1)}"

    def _excerpt(self, line: int, column: int) -> str:
        """The line of YAML with a caret under the column; of a long line, the part around it."""
        skipped = max(0, column - _EXCERPT_CHARS * 2 // 3)
        code = self._lines[line - 1][skipped : skipped + _EXCERPT_CHARS].replace("\t", " ").rstrip()
        return f"{line:>6} | {code}\n       | {' ' * (column - 1 - skipped)}^"


class InputsError(DefinitionError):
    """The params of a start do not fit the definition's `inputs`. Paths are like `params.hosts[3]`, without lines."""


class TemplateError(DefinitionError):
    """A template failed at run time, or a limit stopped it. `line` is the template's line in the YAML where known."""

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        super().__init__((Violation(path, message, line),))
        self.message = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return self.message
