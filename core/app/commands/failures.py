"""How a command fails: one sentence on standard error, exit code 1, no traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ....claim.errors import ClaimError
from ...errors import LeaseholdError


class CommandFailed(LeaseholdError):
    """A command could not do what it was asked; the sentence says why, and the way out."""


class SentenceGroup(TyperGroup):
    """A group of commands whose expected errors end in one sentence. Anything else is a defect, and shows itself."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (LeaseholdError, ClaimError) as error:
            sys.stderr.write(f"leasehold: {error}\n")
            raise typer.Exit(1) from None
