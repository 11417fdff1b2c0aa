"""`python -m leasehold.bench`: see `command`."""

from __future__ import annotations

from .command import app

app(prog_name="python -m leasehold.bench")
