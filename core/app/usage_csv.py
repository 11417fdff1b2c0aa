"""Usage as comma-separated values."""

from __future__ import annotations

import csv
import io

from msgspec.structs import fields

from ...claim.wire.usage import UsageRow, UsageView


def as_csv(view: UsageView) -> str:
    """RFC 4180, with a header. Names of tenants and workflows begin with a letter, a digit or `*`, so none is a
    formula to a spreadsheet."""
    names = [field.name for field in fields(UsageRow)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in view.rows:
        writer.writerow(["" if value is None else value for value in (getattr(row, name) for name in names)])
    return text.getvalue()
