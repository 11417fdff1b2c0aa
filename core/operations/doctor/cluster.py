"""What the cluster says of an installation's indices and templates, in five requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ....ilm import CURRENT, Family, IndexNames, Requests, Schema
from ....ilm.requests import error_of
from ....ilm.schema import common_template
from ...errors import StoreRejected

__all__ = ["ClusterFacts", "IndexFacts", "error_of", "family_of", "gather"]


class IndexFacts(Struct, frozen=True):
    """One index. `settings` are flat. `health` is `green`, `yellow` or `red`, empty where it is not known."""

    name: str
    family: Family
    mapping: Mapping[str, Any]
    settings: Mapping[str, Any]
    aliases: Mapping[str, bool]
    health: str


class ClusterFacts(Struct, frozen=True):
    """All of it at one moment. A template is None where it is missing. `free_share`: of the fullest node's disk."""

    schema: Schema
    names: IndexNames
    common: Mapping[str, Any] | None
    templates: Mapping[str, Mapping[str, Any] | None]
    indices: Mapping[str, IndexFacts]
    free_share: float | None


async def gather(requests: Requests, names: IndexNames, schema: Schema = CURRENT) -> ClusterFacts:
    """Raises: StoreError."""
    common_name = common_template(names)
    common = await _read(requests, f"/_component_template/{common_name}", missing=True)
    templates: dict[str, Mapping[str, Any] | None] = {}
    found = await _read(requests, f"/_index_template/{names.prefix}-*", missing=True)
    stored = {one["name"]: one["index_template"] for one in found.get("index_templates", [])}
    for family in schema.families:
        name = f"{names.prefix}-{family.name}"
        templates[name] = stored.get(name)
    entries = common.get("component_templates") or [{}]
    return ClusterFacts(
        schema=schema,
        names=names,
        common=entries[0].get("component_template"),
        templates=templates,
        indices=await _indices(requests, names, schema),
        free_share=await _free_share(requests),
    )


async def _indices(requests: Requests, names: IndexNames, schema: Schema) -> dict[str, IndexFacts]:
    patterns = ",".join(pattern for family in schema.families for pattern in family.patterns(names))
    found = await _read(
        requests,
        f"/{patterns}?ignore_unavailable=true&allow_no_indices=true&flat_settings=true"
        "&filter_path=*.aliases,*.mappings,*.settings",
    )
    health = await _read(requests, "/_cluster/health?level=indices&filter_path=indices.*.status")
    statuses = health.get("indices", {})
    facts: dict[str, IndexFacts] = {}
    for name, entry in found.items():
        family = family_of(name, names, schema)
        if family is not None:
            facts[name] = IndexFacts(
                name=name,
                family=family,
                mapping=entry.get("mappings", {}),
                settings=entry.get("settings", {}),
                aliases={
                    alias: bool(one.get("is_write_index", False)) for alias, one in entry.get("aliases", {}).items()
                },
                health=statuses.get(name, {}).get("status", ""),
            )
    return facts


async def _free_share(requests: Requests) -> float | None:
    """None where a node does not say."""
    found = await _read(requests, "/_nodes/stats/fs?filter_path=nodes.*.fs.total")
    totals = [node.get("fs", {}).get("total", {}) for node in found.get("nodes", {}).values()]
    shares = [one["available_in_bytes"] / one["total_in_bytes"] for one in totals if one.get("total_in_bytes")]
    return min(shares) if shares and len(shares) == len(totals) else None


def family_of(index: str, names: IndexNames, schema: Schema) -> Family | None:
    """The family that an index belongs to by its name."""
    for family in schema.families:
        base = f"{names.prefix}-{family.name}"
        if family.numbered or family.rolled:
            if index.startswith(f"{base}-") and index.removeprefix(f"{base}-").isdecimal():
                return family
        elif index == base:
            return family
    return None


async def _read(requests: Requests, path: str, *, missing: bool = False) -> dict[str, Any]:
    status, answer = await requests("GET", path)
    if status == 404 and missing:
        return {}
    if status >= 300:
        raise StoreRejected(f"GET {path.partition('?')[0]}: {' '.join(error_of(answer))}", status)
    return answer or {}
