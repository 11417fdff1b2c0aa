"""Are templates and mappings those of this release? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....ilm.schema import common_template
from .cluster import ClusterFacts, IndexFacts
from .found import Asked, Found, Repair, listed

_START_AGAIN = "or restart a replica of this release, which puts what is older than itself"


def judge_templates(facts: ClusterFacts) -> list[Found]:
    """Missing, older, newer, or changed by hand."""
    schema, names = facts.schema, facts.names
    common = common_template(names)
    found = list(
        _judge_template(
            "component template", f"/_component_template/{common}", common, facts.common, schema.component_template()
        )
    )
    for family in schema.families:
        name = f"{names.prefix}-{family.name}"
        wanted = schema.index_template(family, names)
        found += _judge_template("index template", f"/_index_template/{name}", name, facts.templates.get(name), wanted)
    return found


def _judge_template(
    kind: str, path: str, name: str, stands: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> Iterator[Found]:
    put = Repair(f"put the {kind} {name} of this release", (Asked("PUT", path, wanted),))
    if stands is None:
        what = f"The {kind} {name} is missing, so an index that is made from now on would map whatever comes."
        yield Found(severity="error", what=what, way_out=f"Put it back with --fix, {_START_AGAIN}.", repair=put)
        return
    version, own = _version_of(stands), _version_of(wanted)
    if version > own:
        what = f"The {kind} {name} is of schema {version}, and this release knows {own}."
        yield Found(severity="warning", what=what, way_out="Finish the upgrade: replace the replicas of this release.")
    elif version < own:
        what = f"The {kind} {name} is of schema {version}, and this release needs {own}."
        yield Found(severity="error", what=what, way_out=f"Put it with --fix, {_START_AGAIN}.", repair=put)
    else:
        changed = _differences(_flat(stands), _flat(wanted))
        if changed:
            what = f"The {kind} {name} was changed by hand: {listed(changed)}."
            way_out = "Put it back with --fix; settings of your own belong in a template of your own."
            yield Found(severity="error", what=what, way_out=way_out, repair=put)


def judge_mappings(facts: ClusterFacts) -> list[Found]:
    """Does every index map what this release writes and searches, and nothing else?"""
    return [found for index in facts.indices.values() for found in _judge_mapping(facts, index)]


def _judge_mapping(facts: ClusterFacts, index: IndexFacts) -> Iterator[Found]:
    wanted = facts.schema.mapping(index.family)
    if _version_of(index.mapping) > facts.schema.version:
        return
    there, needed = _fields(index.mapping), _fields(wanted)
    other = sorted(name for name in needed.keys() & there.keys() if needed[name] != there[name])
    if other:
        told = [f"{name} is {there[name]} and not {needed[name]}" for name in other]
        way_out = (
            "Let its alias roll over, so that new rows go to an index that is right"
            if index.family.rolled
            else "Stop the replicas, and reindex it into one that its template makes"
        )
        what = f"Index {index.name} maps fields otherwise than this release: {listed(told, 3)}."
        left = "the type of a mapped field can't be changed"
        yield Found(severity="error", what=what, way_out=f"{way_out}.", left=left)
    missing = sorted(needed.keys() - there.keys())
    dynamic = str(index.mapping.get("dynamic", True)).lower() != "false"
    if missing or dynamic:
        put = Repair(f"brought the mapping of {index.name} up", (Asked("PUT", f"/{index.name}/_mapping", wanted),))
        why = f"lacks the fields {listed(missing)}" if missing else "takes any field that comes (`dynamic`)"
        yield Found(
            severity="error",
            what=f"The mapping of index {index.name} {why}.",
            way_out="Bring it up with --fix; documents of before are found by a new field once they are written again.",
            repair=None if other else put,
            left="fields of another type stand in the way",
        )
    more = sorted(name for name in there.keys() - needed.keys())
    if more:
        what = f"Index {index.name} maps fields that are not Leasehold's, {len(more)} in all: {listed(more)}."
        way_out = "Nothing has to be done while they are few; a mapped field can't be taken away."
        yield Found(severity="warning", what=what, way_out=way_out, left="a mapped field can't be taken away")


def _fields(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every mapped field that is no plain group, with its type."""
    found: dict[str, str] = {}
    for name, spec in mapping.get("properties", {}).items():
        path = f"{prefix}{name}"
        if "properties" in spec:
            found |= _fields(spec, f"{path}.")
        else:
            found[path] = str(spec.get("type", "object"))
    return found


def _version_of(holder: Mapping[str, Any]) -> int:
    return int(holder.get("_meta", {}).get("leasehold", {}).get("schema", 0))


def _differences(stands: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Where they differ: what is wanted, and what the template adds to settings and mappings."""
    added = {path for path in stands.keys() - wanted.keys() if path.startswith("template.")}
    other = {path for path in wanted if stands.get(path) != wanted[path]}
    return sorted(path.removeprefix("template.") for path in added | other)


def _flat(node: Any, path: str = "") -> dict[str, str]:
    """Every value by its dotted path, as Elasticsearch may write it: numbers and flags as texts."""
    if isinstance(node, Mapping):
        found: dict[str, str] = {}
        for name, value in node.items():
            found |= _flat(value, f"{path}.{name}" if path else str(name))
        return found
    return {path: str(node).lower() if isinstance(node, bool | int | float) else str(node)}
