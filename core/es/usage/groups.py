"""Composite aggregations in pages: their bodies' common form, and their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

PAGE = 1_000


class Key(Struct, omit_defaults=True):
    """What the rows of a group have in common, as far as it was asked for; `at` is the start of an hour or day."""

    tenant: str = ""
    workflow: str = ""
    at: int = 0


class Sum(Struct, frozen=True):
    value: float = 0.0


class Count(Struct, frozen=True):
    doc_count: int = 0


class Group(Struct):
    """Rows that have a key in common: how many, and the sums that were asked for."""

    key: Key
    doc_count: int
    executor_ms: Sum = Sum()
    llm_calls: Sum = Sum()
    llm_tokens: Sum = Sum()
    cost: Sum = Sum()
    stored_bytes: Sum = Sum()
    retries: Count = Count()


class _Groups(Struct):
    buckets: list[Group]


class _Aggregations(Struct):
    groups: _Groups


_decoder = msgspec.json.Decoder(_Aggregations)


def by_term(field: str) -> dict[str, Any]:
    return {"terms": {"field": field}}


def by_day(field: str) -> dict[str, Any]:
    """By UTC days."""
    return {"date_histogram": {"field": field, "fixed_interval": "1d"}}


def by_hour(field: str) -> dict[str, Any]:
    return {"date_histogram": {"field": field, "fixed_interval": "1h"}}


def sum_of(field: str) -> dict[str, Any]:
    return {"sum": {"field": field}}


def groups_body(
    filters: Sequence[Mapping[str, Any]],
    keys: Mapping[str, Mapping[str, Any]],
    *,
    sums: Mapping[str, Any] | None = None,
    must_not: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The first page of the groups of all documents that match; `keys` and `sums` are named as in `Key` and `Group`."""
    query: dict[str, Any] = {"filter": list(filters)}
    if must_not:
        query["must_not"] = list(must_not)
    groups: dict[str, Any] = {"composite": {"size": PAGE, "sources": [{name: by} for name, by in keys.items()]}}
    if sums:
        groups["aggs"] = dict(sums)
    return {"query": {"bool": query}, "size": 0, "track_total_hits": False, "aggs": {"groups": groups}}


def groups_of(aggregations: bytes) -> list[Group]:
    """The groups of one page; fewer than `PAGE`: there are no more."""
    return _decoder.decode(aggregations).groups.buckets


def go_on_after(body: dict[str, Any], last: Group) -> None:
    """Let the body ask for the page that follows this group."""
    composite = body["aggs"]["groups"]["composite"]
    names = [name for source in composite["sources"] for name in source]
    composite["after"] = {name: getattr(last.key, name) for name in names}
