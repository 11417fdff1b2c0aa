"""Requests of the backends, and what a refused one is called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import LifecycleRefused
from ..names import IndexNames
from ..requests import Requests, error_of
from .facts import FamilyFacts, facts_of

_LENIENT = "ignore_unavailable=true&allow_no_indices=true&expand_wildcards=open,closed"
_METADATA = ",".join(f"metadata.indices.*.{part}" for part in ("state", "settings", "aliases", "rollover_info"))
_STATS = "indices.*.primaries.docs.count,indices.*.primaries.store.size_in_bytes,indices.*.shards.*.segments.count"
_MERGES = "/_tasks?actions=indices:admin/forcemerge*&detailed=true&filter_path=nodes.*.tasks.*.description"


async def look(requests: Requests, names: IndexNames, families: Iterable[str]) -> dict[str, FamilyFacts]:
    """What stands of these families now: four requests, however many indices there are. Raises: LifecycleRefused."""
    families = list(families)
    aliases = [names.rolled(family) for family in families]
    # The second finds what ILM has made of an index of ours: `restored-workflow-steps-000001` and the like.
    target = ",".join(pattern for alias in aliases for pattern in (f"{alias}-*", f"*-{alias}-*"))
    # In this order: see `facts_of`.
    behind = await must(requests, "GET", f"/{target}/_alias?{_LENIENT}")
    state = await must(
        requests, "GET", f"/_cluster/state/metadata/{target}?flat_settings=true&{_LENIENT}&filter_path={_METADATA}"
    )
    metadata = state.get("metadata", {}).get("indices", {})
    stats = await must(requests, "GET", f"/{target}/_stats/docs,store,segments?level=shards&filter_path={_STATS}")
    merges = await must(requests, "GET", _MERGES)
    return facts_of(names, families, behind, metadata, stats.get("indices", {}), _merging(merges, metadata))


def _merging(tasks: Any, indices: Iterable[str]) -> frozenset[str]:
    """The indices that a force-merge is under way for; a task names all of them, as `[a, b]`."""
    told = [
        task.get("description", "")
        for node in tasks.get("nodes", {}).values()
        for task in node.get("tasks", {}).values()
    ]
    named = {name.strip() for text in told for name in text.partition("[")[2].partition("]")[0].split(",")}
    return frozenset(named & set(indices))


async def cluster_time_ms(requests: Requests) -> int:
    """The wall clock of the master, by which roll-overs and creations are dated: ages go by it and by no other.

    Raises: LifecycleRefused.
    """
    nodes = (await must(requests, "GET", "/_nodes/_master/stats/os?filter_path=nodes.*.timestamp")).get("nodes", {})
    for node in nodes.values():
        return int(node["timestamp"])
    raise LifecycleRefused("GET /_nodes/_master/stats/os", 200, "no master node answered", "look again in a moment")


async def cluster_blocks(requests: Requests) -> list[str]:
    """A sentence for each setting of the cluster that refuses changes of every index."""
    settings = await must(requests, "GET", "/_cluster/settings?flat_settings=true")
    return [
        f"{level} setting {name} of the cluster is true, so nothing ages; take it away (PUT /_cluster/settings, null)"
        for level in ("persistent", "transient")
        for name, value in settings.get(level, {}).items()
        if name in ("cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete") and str(value) == "true"
    ]


async def must(requests: Requests, method: str, path: str, body: Any = None, *, allow: tuple[int, ...] = ()) -> Any:
    """The answer to a request that has to succeed, {} for none. Raises: LifecycleRefused."""
    status, answer = await requests(method, path, body)
    if status < 300 or status in allow:
        return answer or {}
    bare = path.partition("?")[0]
    raise LifecycleRefused(f"{method} {bare}", status, " ".join(error_of(answer)), advice_for(status, answer))


def refusal(method: str, path: str, status: int, answer: Any) -> str:
    """A sentence for a refused request, with the way out where it is known."""
    error_type, reason = error_of(answer)
    said = f"Elasticsearch refused {method} {path.partition('?')[0]}: {status} {error_type} {reason}".strip()
    advice = advice_for(status, answer)
    return f"{said}; {advice}" if advice else said


def advice_for(status: int, answer: Any) -> str:
    """What to do about a refusal; empty where that is not known."""
    error_type, _ = error_of(answer)
    if error_type == "cluster_block_exception":
        return "take the block away (`index.blocks.*` of the index, `cluster.blocks.*` of the cluster)"
    if status in (401, 403):
        return "its user needs the privileges `monitor` and `manage_ilm` of the cluster and `manage` of the indices"
    return ""
