"""Definitions as they are stored and listed."""

from __future__ import annotations

from msgspec import Struct, field


class DefinitionView(Struct, frozen=True, omit_defaults=True):
    """A stored definition version. `active` says whether starts without a version get this one."""

    name: str
    version: int
    active: bool
    source: str
    tenant: str
    created_at_ms: int
    created_by: str
    labels: dict[str, str] = field(default_factory=dict)
    description: str | None = None


class DefinitionStored(Struct, frozen=True, omit_defaults=True):
    """`created` is false when this very version was stored before with the same content."""

    name: str
    version: int
    created: bool
    active: bool


class DefinitionSummary(Struct, frozen=True, omit_defaults=True):
    name: str
    active_version: int
    versions: list[int]
    description: str | None = None


class DefinitionList(Struct, frozen=True):
    definitions: list[DefinitionSummary]
