"""The aggregations that the builders in `leasehold.core.es` use: composites, in pages, with sums and filters inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from .model_documents import ModelDoesNotKnow, field_type, real_path
from .model_index import Document, ModelIndex
from .model_search import Visible, matching

_INTERVALS_MS = {"1h": 3_600_000, "1d": 86_400_000}
_NUMBERS = ("long", "integer", "double")

Found = tuple[Document, ModelIndex]
Values = Callable[[Document, ModelIndex], Sequence[Any]]


def aggregate(asked: Mapping[str, Any], body: Mapping[str, Any], visible: Sequence[Visible]) -> dict[str, Any]:
    """What a search answers under `aggregations`. Raises: ModelDoesNotKnow."""
    answers = {}
    for name, spec in asked.items():
        if spec.keys() - {"composite", "aggs"} or "composite" not in spec:
            raise ModelDoesNotKnow(f"aggregations {sorted(spec)}")
        answers[name] = _composite(spec["composite"], spec.get("aggs", {}), body, visible)
    return answers


def _composite(
    spec: Mapping[str, Any], inner: Mapping[str, Any], body: Mapping[str, Any], visible: Sequence[Visible]
) -> dict[str, Any]:
    sources = [(name, _source(source)) for one in spec["sources"] for name, source in one.items()]
    groups: dict[tuple[Any, ...], list[Found]] = {}
    for one in visible:
        for document in matching(body, one):
            for key in product(*(values(document, one.index) for _, values in sources)):
                groups.setdefault(key, []).append((document, one.index))
    after = tuple(spec["after"][name] for name, _ in sources) if "after" in spec else None
    keys = [key for key in sorted(groups) if after is None or key > after][: spec.get("size", 10)]
    buckets = [
        {
            "key": dict(zip([name for name, _ in sources], key, strict=True)),
            "doc_count": len(groups[key]),
            **{name: _metric(one, groups[key]) for name, one in inner.items()},
        }
        for key in keys
    ]
    return {"buckets": buckets, **({"after_key": buckets[-1]["key"]} if buckets else {})}


def _source(spec: Mapping[str, Any]) -> Values:
    """What a document's keys are by one source."""
    ((kind, options),) = spec.items()
    field = options["field"]
    if kind == "terms" and options.keys() == {"field"}:
        return lambda document, index: _values(document, index, field, ("keyword", "integer"))
    if kind == "date_histogram" and options.keys() == {"field", "fixed_interval"}:
        interval_ms = _INTERVALS_MS[options["fixed_interval"]]
        return lambda document, index: sorted(
            {at_ms - at_ms % interval_ms for at_ms in _values(document, index, field, ("date",))}
        )
    raise ModelDoesNotKnow(f"a composite of {spec}")


def _metric(spec: Mapping[str, Any], found: Sequence[Found]) -> dict[str, Any]:
    ((kind, options),) = spec.items()
    if kind == "filter":
        inside = [Visible(index, (document,)) for document, index in found]
        return {"doc_count": sum(len(matching({"query": options}, one)) for one in inside)}
    if kind == "sum" and options.keys() == {"field"}:
        field = options["field"]
        numbers = [value for document, index in found for value in _every_value(document, index, field, _NUMBERS)]
        return {"value": math.fsum(numbers)}
    raise ModelDoesNotKnow(f"{spec} within a composite")


def _values(document: Document, index: ModelIndex, field: str, types: Sequence[str]) -> Sequence[Any]:
    return sorted(set(_every_value(document, index, field, types)))


def _every_value(document: Document, index: ModelIndex, field: str, types: Sequence[str]) -> Sequence[Any]:
    if field_type(index.mapping, field) not in types:
        raise ModelDoesNotKnow(f"an aggregation of {field!r}, which is none of {types}")
    found: Sequence[Any] = document.values.get(real_path(index.mapping, field), ())
    return found
