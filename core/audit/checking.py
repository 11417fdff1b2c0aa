"""`verify` over the lines of an export, wherever they come from. Nothing is kept of them but what verify keeps."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from .exporting import ExportLine
from .verify import Report, Row, Verifier


class NotAnExport(Exception):
    """The lines are no whole export of a trail."""


def checked(lines: Iterable[bytes]) -> Report:
    """What verify says of an export. Raises: NotAnExport."""
    verifier: Verifier | None = None
    for number, text in enumerate(lines, 1):
        line = _line_of(text, number)
        if line.trail is not UNSET:
            verifier = Verifier(line.trail)
        elif verifier is None:
            raise NotAnExport("the first line holds no facts of a trail: it is no export, or its beginning is missing")
        elif line.end is not UNSET:
            if line.end.rows != verifier.rows:
                raise NotAnExport(f"the export had {line.end.rows} rows, and there are {verifier.rows}")
            return verifier.finish()
        elif line.id is not UNSET and line.index is not UNSET and line.source is not UNSET:
            verifier.add(Row(line.index, line.id, msgspec.json.decode(line.source)))
    raise NotAnExport("the export has no end: it was broken off, or its last lines are missing")


def _line_of(text: bytes, number: int) -> ExportLine:
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise NotAnExport(f"line {number} is no line of an export: {error}") from None


_decode = msgspec.json.Decoder(ExportLine).decode
