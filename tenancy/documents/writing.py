"""From what is in force to a document that says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from ..rules import Breaker, CapabilityRules, Rate, TenantRules
from .durations import duration_text
from .reading import DeploymentRules

_ALWAYS = ("weight", "priority_ceiling", "paused")
_NEVER = ("tenant", "refused")


def tenant_document(rules: TenantRules) -> dict[str, Any]:
    """The document that compiles to these rules, with what every tenant has written out."""
    document = {name: getattr(rules, name) for name in _ALWAYS}
    return document | _limits(rules, leave=(*_ALWAYS, *_NEVER))


def deployment_document(rules: DeploymentRules) -> dict[str, Any]:
    """The deployment's document that compiles to these rules."""
    document: dict[str, Any] = {
        "unknown_tenants": "refuse" if rules.defaults.refused else "admit",
        "defaults": tenant_document(rules.defaults),
    }
    return document | ({"capabilities": _capabilities(rules.capabilities)} if rules.capabilities else {})


def _limits(rules: Struct, *, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    document = {}
    for one in fields(rules):
        value = getattr(rules, one.name)
        if one.name not in leave and value is not None and value != {}:
            document[one.name] = _written(value)
    return document


def _written(value: Any) -> Any:
    if isinstance(value, Rate):
        return {"per_s": value.per_s, "burst": value.burst}
    if isinstance(value, Breaker):
        return _breaker(value)
    if isinstance(value, Mapping):
        return {key: _limits(inner) for key, inner in value.items()}
    return value


def _capabilities(rules: Mapping[str, CapabilityRules]) -> dict[str, Any]:
    return {name: _limits(one) for name, one in rules.items()}


def _breaker(rules: Breaker) -> dict[str, Any]:
    return {
        "failure_share": rules.failure_share,
        "min_attempts": rules.min_attempts,
        "window": duration_text(rules.window_ms),
        "open_for": duration_text(rules.open_ms),
        "probes": rules.probes,
    }
