"""What a request that is refused is answered with."""

from __future__ import annotations

from msgspec import Struct, field

from .tenants import TenantView


class Violation(Struct, frozen=True, omit_defaults=True, gc=False):
    """One thing wrong with a request or a definition: where, what was found, what is allowed."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None


class Problem(Struct, frozen=True, omit_defaults=True, gc=False):
    """An RFC 9457 problem document. `type` is stable and ends in a word that code may match on."""

    type: str
    title: str
    status: int
    detail: str = ""
    violations: list[Violation] = field(default_factory=list)
    token_held: int | None = None
    retry_after_s: float | None = None
    quota: str | None = None
    active_version: int | None = None
    stands: TenantView | None = None
