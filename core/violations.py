"""What the definitions package found wrong, in the words of the wire."""

from __future__ import annotations

from collections.abc import Iterable

from ..claim.wire import Violation
from ..definitions import Violation as DefinitionViolation


def wire_violations(violations: Iterable[DefinitionViolation]) -> list[Violation]:
    return [
        Violation(
            path=violation.path,
            message=violation.message,
            line=violation.line,
            column=violation.column,
            found=violation.found,
            allowed=violation.allowed,
            nearest=violation.nearest,
        )
        for violation in violations
    ]
