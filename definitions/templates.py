"""Templates (Jinja2, sandboxed, bounded)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TemplateError(Exception):
    """A template failed at run time, or was stopped by a limit. `line` is the template's line in the YAML where known."""

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class Template:
    """A JSON-like value with templates in any of its strings, compiled. A string that is one expression keeps its type."""

    def render(self, context: Mapping[str, Any]) -> Any:
        """The value with every template evaluated. Raises: TemplateError."""
        raise NotImplementedError
