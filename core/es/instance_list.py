"""The searches behind the list of instances: a page of those in lanes, a page of ends, and what tells doubles.

Each of the two has a point in time of its own, the lanes' taken first: a finished instance's document leaves its lane
only after a search finds its row, so what the first no longer holds is in the second. Sort: the time of creation
(of the end, or how long it took, among rows), then the point in time's own order. Cost: doc values of all that passes
the filters, which a page may narrow to a window of time; of the sources only the fields that a list shows are sent.
Counting ends at its bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...claim.wire.search import ENDED, STATUSES
from ..principal import Principal
from .visible import visible_to

Sort = Literal["created", "finished", "duration"]
Order = Literal["desc", "asc"]

LIVE_SHOWN = [
    "id", "workflow", "version", "tenant", "space", "status", "created_at_ms", "finished_at_ms", "label_pairs",
    "started_by", "correlation_id", "parent_id", "redrives", "error", "items.path",
]  # fmt: skip
LIVE_TEXTS = ["inputs", "inputs_ref", "outputs"]
ENDED_SHOWN = [
    "workflow", "tenant", "space", "status", "created_at", "finished_at", "duration_ms", "labels", "started_by",
    "correlation_id", "parent_id", "redrives", "error",
]  # fmt: skip
_ENDED_SORT = {"created": "created_at", "finished": "finished_at", "duration": "duration_ms"}
_TEXTS = ("inputs", "outputs", "error.message")
_STEP_TEXTS = ("step.input", "step.output", "error.message")


class Filter(Struct, frozen=True, omit_defaults=True):
    """Which instances, by what they are now. Times are in milliseconds; `until_ms` itself is not in it.

    `labels` are `key=value`, and an instance has all of them. `parent` lists children of that instance, `children`
    adds those of all to the list. `changed_since_ms`: whose document was written then or later, if only for the engine.
    """

    statuses: tuple[str, ...] = ()
    workflow: str | None = None
    version: int | None = None
    tenant: str | None = None
    space: str | None = None
    labels: tuple[str, ...] = ()
    correlation_id: str | None = None
    started_by: str | None = None
    parent: str | None = None
    children: bool = False
    error_type: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    finished_since_ms: int | None = None
    changed_since_ms: int | None = None
    text: str | None = None

    @property
    def ended_only(self) -> bool:
        """Whether it asks for what only an instance that has ended can have."""
        of_ends = self.error_type is not None or self.finished_since_ms is not None
        return of_ends or (bool(self.statuses) and set(self.statuses) <= set(ENDED))

    @property
    def live_only(self) -> bool:
        """Whether no instance that has ended can be in it."""
        return bool(self.statuses) and not set(self.statuses) & set(ENDED)


class Page(Struct, frozen=True):
    """A place in one of the two lists: `after` is the last hit's `sort`.

    `from_ms` and `before_ms` bound what is sorted by, where that is a time: Elasticsearch looks at everything that
    passes the filters to find what comes first, so few should pass.
    """

    pit_id: str
    size: int
    keep_alive_ms: int
    after: tuple[Any, ...] | None = None
    from_ms: int | None = None
    before_ms: int | None = None


def live_body(principal: Principal, which: Filter, order: Order, page: Page) -> dict[str, Any]:
    """One page of lane documents. Lanes index neither `started_by` nor what an end left: the caller looks at those."""
    statuses = [one for one in which.statuses or STATUSES if one in ENDED or not which.ended_only]
    filters = [
        *_bound(principal, which, workflow="workflow", version="version", labels="label_pairs"),
        {"term": {"kind": "instance"}},
    ]
    if len(statuses) < len(STATUSES):
        filters.append(_live_status(statuses))
    if (created := _between(which.since_ms, which.until_ms)) is not None:
        filters.append({"range": {"created_at_ms": created}})
    if which.changed_since_ms is not None:
        filters.append({"range": {"updated_at_ms": {"gte": which.changed_since_ms}}})
    shown = LIVE_SHOWN if which.text is None else [*LIVE_SHOWN, *LIVE_TEXTS]
    return _page(filters, which, "created_at_ms", order, shown, page)


def ended_body(principal: Principal, which: Filter, sort: Sort, order: Order, page: Page) -> dict[str, Any]:
    """One page of rows of ends, among them earlier ends of instances that were brought back."""
    filters = _bound(principal, which, workflow="workflow.name", version="workflow.version", labels="labels")
    terms = {"started_by": which.started_by, "error.type": which.error_type}
    filters += [{"term": {field: value}} for field, value in terms.items() if value is not None]
    statuses = [one for one in which.statuses if one in ENDED]
    if statuses and len(statuses) < len(ENDED):
        filters.append({"terms": {"status": statuses}})
    if (created := _between(which.since_ms, which.until_ms)) is not None:
        filters.append({"range": {"created_at": created}})
    ends = [one for one in (which.finished_since_ms, which.changed_since_ms) if one is not None]
    if ends:
        filters.append({"range": {"finished_at": {"gte": max(ends)}}})
    if which.text is not None:
        filters.append(_holds(which.text, _TEXTS))
    return _page(filters, which, _ENDED_SORT[sort], order, ENDED_SHOWN, page)


def counted(body: dict[str, Any], up_to: int) -> dict[str, Any]:
    """The search that counts what a page's search is a page of."""
    return {"pit": body["pit"], "query": body["query"], "size": 0, "track_total_hits": up_to}


def lives_body(ids: Sequence[str], pit_id: str, keep_alive_ms: int) -> dict[str, Any]:
    """Of these instances those that had a document in their lane, whatever its status: how often brought back."""
    return {
        "pit": _pit(pit_id, keep_alive_ms),
        "query": {"bool": {"filter": [{"ids": {"values": list(ids)}}, {"term": {"kind": "instance"}}]}},
        "_source": ["redrives"],
        "size": len(ids),
        "track_total_hits": False,
    }


def ends_body(live: Sequence[str], ended: Sequence[str], pit_id: str, keep_alive_ms: int) -> dict[str, Any]:
    """Rows of ends, 10,000 at most: all those of the `live` ones, of the `ended` ones those after the first."""
    later = [{"terms": {"workflow.id": list(ended)}}, {"range": {"redrives": {"gte": 1}}}]
    either = [{"terms": {"workflow.id": list(live)}}, {"bool": {"filter": later}}]
    return {
        "pit": _pit(pit_id, keep_alive_ms),
        "query": {"bool": {"should": either, "minimum_should_match": 1}},
        "_source": ["workflow.id", "redrives"],
        "size": 10_000,
        "track_total_hits": False,
    }


def attempts_with_body(principal: Principal, ids: Sequence[str], text: str) -> dict[str, Any]:
    """Which of these instances have a finished attempt whose payloads hold the words.

    Index: `workflow-steps`, by alias. Relies on its own refreshes. One bucket an instance: see `ids_of`.
    """
    filters = [*visible_to(principal), {"terms": {"workflow.id": list(ids)}}, _holds(text, _STEP_TEXTS)]
    by_instance = {"size": len(ids), "sources": [{"id": {"terms": {"field": "workflow.id"}}}]}
    return {
        "query": {"bool": {"filter": filters}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {"instances": {"composite": by_instance}},
    }


class _Key(Struct):
    id: str


class _Bucket(Struct):
    key: _Key


class _Instances(Struct):
    buckets: list[_Bucket]


class _Aggregations(Struct):
    instances: _Instances


_decoder = msgspec.json.Decoder(_Aggregations)


def ids_of(aggregations: bytes | None) -> set[str]:
    """The instances that `attempts_with_body` found."""
    return set() if aggregations is None else {one.key.id for one in _decoder.decode(aggregations).instances.buckets}


def _bound(principal: Principal, which: Filter, *, workflow: str, version: str, labels: str) -> list[dict[str, Any]]:
    """What both lists filter by, under each one's names. The principal's own bounds stand whatever is asked for."""
    terms = {
        "tenant": which.tenant,
        "space": which.space,
        workflow: which.workflow,
        version: which.version,
        "correlation_id": which.correlation_id,
        "parent_id": which.parent,
    }
    filters = visible_to(principal)
    filters += [{"term": {field: value}} for field, value in terms.items() if value is not None]
    return filters + [{"term": {labels: pair}} for pair in which.labels]


def _live_status(statuses: Sequence[str]) -> dict[str, Any]:
    """A running instance's document has no status: what is the default is not written."""
    if "running" not in statuses:
        return {"terms": {"status": list(statuses)}}
    others = [one for one in STATUSES if one not in statuses]
    return {"bool": {"must_not": [{"terms": {"status": others}}]}}


def _holds(text: str, fields: Sequence[str]) -> dict[str, Any]:
    """All the words stand in one of the fields."""
    each = [{"match": {field: {"query": text, "operator": "and"}}} for field in fields]
    return {"bool": {"should": each, "minimum_should_match": 1}}


def _between(since_ms: int | None, until_ms: int | None) -> Mapping[str, int] | None:
    bounds = {"gte": since_ms, "lt": until_ms}
    return {name: bound for name, bound in bounds.items() if bound is not None} or None


def _page(
    filters: list[dict[str, Any]], which: Filter, sorted_by: str, order: Order, shown: list[str], page: Page
) -> dict[str, Any]:
    if (window := _between(page.from_ms, page.before_ms)) is not None:
        filters.append({"range": {sorted_by: window}})
    query: dict[str, Any] = {"filter": filters}
    if not which.children and which.parent is None:
        query["must_not"] = [{"exists": {"field": "parent_id"}}]
    body: dict[str, Any] = {
        "pit": _pit(page.pit_id, page.keep_alive_ms),
        "query": {"bool": query},
        "sort": [{sorted_by: {"order": order}}],
        "size": page.size,
        "_source": shown,
        "track_total_hits": False,
    }
    if page.after is not None:
        body["search_after"] = list(page.after)
    return body


def _pit(pit_id: str, keep_alive_ms: int) -> dict[str, str]:
    return {"id": pit_id, "keep_alive": f"{keep_alive_ms}ms"}
