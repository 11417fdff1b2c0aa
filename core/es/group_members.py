"""The members of concurrency groups in a lane: what its owner learns of a group that it does not hold in memory.

Index: one lane. Sort: `created_at_ms`, then `_seq_no`, so that pages go on. Relies on a refresh that began after the
last write of whatever left memory. Cost: what it brings, of each document only the few fields named here.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

FIELDS = ["group", "queued", "status", "created_at_ms", "queued_at_ms", "definition_tenant", "workflow", "version"]


class FoundMember(Struct, frozen=True, gc=False):
    """A member as its document says; a running one's says no status."""

    group: str
    created_at_ms: int
    definition_tenant: str
    workflow: str
    version: int
    status: str = "running"
    queued: bool = False
    queued_at_ms: int = 0


class _Group(Struct):
    key: dict[str, str]


class _Groups(Struct):
    buckets: list[_Group]
    after_key: dict[str, str] | None = None


class _Aggregations(Struct):
    groups: _Groups


decode_member = msgspec.json.Decoder(FoundMember).decode
_decoder = msgspec.json.Decoder(_Aggregations)


def group_members_body(group: str | None, *, after: tuple[Any, ...] | None, size: int) -> dict[str, Any]:
    """One page of a group's members, or of all groups' (None); `after` is the last hit's `sort` of the page before."""
    match: dict[str, Any] = {"exists": {"field": "group"}} if group is None else {"term": {"group": group}}
    body: dict[str, Any] = {
        "query": {"bool": {"filter": [match]}},
        "sort": [{"created_at_ms": {"order": "asc"}}, "_seq_no"],
        "_source": FIELDS,
        "size": size,
        "track_total_hits": False,
    }
    if after is not None:
        body["search_after"] = list(after)
    return body


def queued_groups_body(*, after: dict[str, str] | None, size: int) -> dict[str, Any]:
    """One page of the groups with members that wait for a slot; `after` is what the page before answered."""
    composite: dict[str, Any] = {"size": size, "sources": [{"group": {"terms": {"field": "group"}}}]}
    if after is not None:
        composite["after"] = after
    return {
        "query": {"bool": {"filter": [{"term": {"queued": True}}]}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {"groups": {"composite": composite}},
    }


def groups_of(aggregations: bytes) -> tuple[list[str], dict[str, str] | None]:
    """The page's groups, and what to ask after for the next page; None after the last."""
    groups = _decoder.decode(aggregations).groups
    return [bucket.key["group"] for bucket in groups.buckets], groups.after_key
