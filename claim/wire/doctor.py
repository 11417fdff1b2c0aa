"""What the doctor finds in an installation, and what it has repaired."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True, kw_only=True):
    """Something that disagrees. `what` and `way_out` are a sentence each.

    `severity`: of an `error` something does not work or may be lost, of a `warning` it will or might be. `fixable`: the
    doctor can repair it without losing anything. `fixed`: it has. `done` says what a repair did, `left` why it was not
    made; both are null where no repair was asked for.
    """

    check: str
    severity: Literal["error", "warning"]
    what: str
    way_out: str
    fixable: bool
    fixed: bool = False
    done: str | None = None
    left: str | None = None


class DoctorView(Struct, frozen=True, kw_only=True):
    """What one replica has found at one moment. `checks`: what it looked at. `healthy`: nothing is left to be done."""

    replica: str
    at_ms: int
    healthy: bool
    checks: list[str]
    findings: list[Finding]
