"""The one aggregation that the builders in `leasehold.core.es` use: a composite of keywords and integers, in pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from .model_documents import ModelDoesNotKnow, field_type, real_path
from .model_index import Document, ModelIndex
from .model_search import Visible, matching


def aggregate(asked: Mapping[str, Any], body: Mapping[str, Any], visible: Sequence[Visible]) -> dict[str, Any]:
    """What a search answers under `aggregations`. Raises: ModelDoesNotKnow."""
    answers = {}
    for name, spec in asked.items():
        if spec.keys() != {"composite"}:
            raise ModelDoesNotKnow(f"aggregations {sorted(spec)}")
        answers[name] = _composite(spec["composite"], body, visible)
    return answers


def _composite(spec: Mapping[str, Any], body: Mapping[str, Any], visible: Sequence[Visible]) -> dict[str, Any]:
    sources = [(name, source["terms"]["field"]) for one in spec["sources"] for name, source in one.items()]
    counts: Counter[tuple[Any, ...]] = Counter()
    for one in visible:
        for document in matching(body, one):
            counts.update(product(*(_values(document, one.index, field) for _, field in sources)))
    after = tuple(spec["after"][name] for name, _ in sources) if "after" in spec else None
    keys = [key for key in sorted(counts) if after is None or key > after][: spec.get("size", 10)]
    buckets = [
        {"key": dict(zip([name for name, _ in sources], key, strict=True)), "doc_count": counts[key]} for key in keys
    ]
    return {"buckets": buckets, **({"after_key": buckets[-1]["key"]} if buckets else {})}


def _values(document: Document, index: ModelIndex, field: str) -> Sequence[Any]:
    if field_type(index.mapping, field) not in ("keyword", "integer"):
        raise ModelDoesNotKnow(f"a composite of {field!r}, which is neither a keyword nor an integer")
    return sorted(set(document.values.get(real_path(index.mapping, field), ())))
