"""The part of the query DSL that the builders in `leasehold.core.es` use; anything else is refused loudly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from .model_documents import LONG, ModelDoesNotKnow, field_type, real_path, searchable, words_of
from .model_index import Document, ModelIndex

Matches = Callable[[Document], bool]

_KEYS = {"query", "sort", "size", "search_after", "pit", "seq_no_primary_term", "track_total_hits", "_source"}
_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
LARGEST_WINDOW = 10_000


class Refused(Exception):
    """Elasticsearch would refuse the whole search with 400 and this error type."""

    def __init__(self, error_type: str, reason: str) -> None:
        super().__init__(reason)
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class Visible:
    """What a search sees of one index: the documents of its last refresh, or of the one that a point in time holds."""

    index: ModelIndex
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class ModelHit:
    index: str
    document: Document
    sort: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Key:
    field: str
    descending: bool


def run_search(body: Mapping[str, Any], visible: Sequence[Visible], *, in_pit: bool) -> tuple[list[ModelHit], int]:
    """The hits of one page, and how many documents match in all. Raises: Refused; ModelDoesNotKnow."""
    unknown = body.keys() - _KEYS
    if unknown:
        raise ModelDoesNotKnow(f"search keys {sorted(unknown)}")
    size = body.get("size", 10)
    if size > LARGEST_WINDOW:
        raise Refused("illegal_argument_exception", f"Result window is too large: [{size}]")
    keys = [_key(one) for one in body.get("sort", ())]
    if in_pit and keys and keys[-1].field != "_shard_doc":
        # Elasticsearch adds it as the tiebreaker, and gives its value in `sort`.
        keys.append(_Key("_shard_doc", False))
    found: list[ModelHit] = []
    for number, one in enumerate(visible):
        matches = _query(body.get("query", {"match_all": {}}), one.index)
        found += [
            ModelHit(one.index.name, document, _sort_values(document, keys, one.index, (number << 32) + position))
            for position, document in enumerate(one.documents)
            if matches(document)
        ]
    return _page(found, keys, body.get("search_after"), size), len(found)


def matching(body: Mapping[str, Any], visible: Visible) -> list[Document]:
    """The documents of one index that the body's query finds, in no order."""
    matches = _query(body.get("query", {"match_all": {}}), visible.index)
    return [document for document in visible.documents if matches(document)]


def _page(found: list[ModelHit], keys: list[_Key], after: Sequence[Any] | None, size: int) -> list[ModelHit]:
    def compare(left: Sequence[Any], right: Sequence[Any]) -> int:
        for key, a, b in zip(keys, left, right, strict=False):
            if a != b:
                return _order(a, b, key.descending)
        return 0

    def compare_hits(left: ModelHit, right: ModelHit) -> int:
        return compare(left.sort, right.sort)

    if keys:
        found = sorted(found, key=cmp_to_key(compare_hits))
    if after is not None:
        found = [hit for hit in found if compare(hit.sort, after) > 0]
    return found[:size]


def _order(a: Any, b: Any, descending: bool) -> int:
    if a is None or b is None:
        # A keyword that is missing comes last in either direction.
        return 1 if a is None else -1
    return -1 if (a < b) != descending else 1


def _key(spec: Any) -> _Key:
    if isinstance(spec, str):
        return _Key(spec, False)
    ((name, options),) = spec.items()
    if isinstance(options, str):
        options = {"order": options}
    if options.keys() - {"order"}:
        raise ModelDoesNotKnow(f"sort options {options}")
    return _Key(name, options.get("order", "asc") == "desc")


def _sort_values(document: Document, keys: list[_Key], index: ModelIndex, shard_doc: int) -> tuple[Any, ...]:
    return tuple(_sort_value(document, key, index, shard_doc) for key in keys)


def _sort_value(document: Document, key: _Key, index: ModelIndex, shard_doc: int) -> Any:
    if key.field == "_shard_doc":
        return shard_doc
    if key.field == "_seq_no":
        return document.seq_no
    type = field_type(index.mapping, key.field)
    if type is None:
        raise Refused("query_shard_exception", f"No mapping found for [{key.field}] in order to sort on")
    if type == "text":
        raise Refused("illegal_argument_exception", f"Fielddata is disabled on [{key.field}]")
    values = document.values.get(real_path(index.mapping, key.field))
    if values:
        return max(values) if key.descending else min(values)
    if type == "keyword":
        return None
    return LONG[0] if key.descending else LONG[1]


def _query(query: Mapping[str, Any], index: ModelIndex) -> Matches:
    ((kind, spec),) = query.items()
    builders: dict[str, Callable[[Any, ModelIndex], Matches]] = {
        "match_all": lambda _spec, _index: lambda _document: True,
        "term": _term,
        "terms": _terms,
        "range": _range,
        "match": _match,
        "ids": lambda ids, _index: lambda document: document.id in ids["values"],
        "exists": _exists,
        "bool": _bool,
    }
    if kind not in builders:
        raise ModelDoesNotKnow(f"query {kind!r}")
    return builders[kind](spec, index)


def _term(spec: Mapping[str, Any], index: ModelIndex) -> Matches:
    ((name, value),) = spec.items()
    return _terms({name: [value["value"] if isinstance(value, dict) else value]}, index)


def _terms(spec: Mapping[str, Any], index: ModelIndex) -> Matches:
    ((name, wanted),) = spec.items()
    values = _values_of(name, index)
    if values is None:
        return lambda _document: False
    converted = {_converted(value, name, index) for value in wanted}
    return lambda document: any(value in converted for value in values(document))


def _range(spec: Mapping[str, Any], index: ModelIndex) -> Matches:
    ((name, bounds),) = spec.items()
    if bounds.keys() - _BOUNDS.keys():
        raise ModelDoesNotKnow(f"range options {bounds}")
    values = _values_of(name, index)
    if values is None:
        return lambda _document: False
    tests = [(_BOUNDS[bound], _converted(value, name, index)) for bound, value in bounds.items()]
    return lambda document: any(all(test(value, bound) for test, bound in tests) for value in values(document))


def _match(spec: Mapping[str, Any], index: ModelIndex) -> Matches:
    """All the words of a text stand in one document's field, whatever their order and in which of its values."""
    ((name, options),) = spec.items()
    if not isinstance(options, dict) or options.keys() != {"query", "operator"} or options["operator"] != "and":
        raise ModelDoesNotKnow(f"match options {options}")
    type = field_type(index.mapping, name)
    if type is None:
        return lambda _document: False
    if type != "text":
        raise ModelDoesNotKnow(f"matching {type} ({name!r})")
    wanted, path = words_of(options["query"]), real_path(index.mapping, name)
    return lambda document: (
        bool(wanted) and wanted <= {word for value in document.values.get(path, ()) for word in words_of(value)}
    )


def _exists(spec: Mapping[str, Any], index: ModelIndex) -> Matches:
    values = _values_of(spec["field"], index)
    return (lambda document: bool(values(document))) if values is not None else (lambda _document: False)


def _bool(spec: Mapping[str, Any], index: ModelIndex) -> Matches:
    if spec.keys() - {"filter", "must", "must_not", "should", "minimum_should_match"}:
        raise ModelDoesNotKnow(f"bool clauses {sorted(spec)}")

    def clauses(name: str) -> list[Matches]:
        found = spec.get(name, ())
        return [_query(one, index) for one in ([found] if isinstance(found, dict) else found)]

    required = clauses("filter") + clauses("must")
    forbidden = clauses("must_not")
    optional = clauses("should")
    needed = spec.get("minimum_should_match", 1 if optional and not required else 0)

    def matches(document: Document) -> bool:
        return (
            all(one(document) for one in required)
            and not any(one(document) for one in forbidden)
            and sum(one(document) for one in optional) >= needed
        )

    return matches


def _values_of(name: str, index: ModelIndex) -> Callable[[Document], Sequence[Any]] | None:
    """How to read a field of a document; None for a field that is not indexed, which matches nothing."""
    if name == "_seq_no":
        return lambda document: (document.seq_no,)
    type = field_type(index.mapping, name)
    if type is None:
        return None
    if type == "text":
        raise ModelDoesNotKnow(f"searching text ({name!r})")
    path = real_path(index.mapping, name)
    return lambda document: document.values.get(path, ())


def _converted(value: Any, name: str, index: ModelIndex) -> Any:
    type = "long" if name == "_seq_no" else field_type(index.mapping, name)
    assert type is not None
    if type in ("long", "integer") and isinstance(value, float) and not value.is_integer():
        raise ModelDoesNotKnow(f"a fraction as the bound of an integer field ({name!r})")
    try:
        return searchable(value, type)
    except ValueError as error:
        raise Refused("query_shard_exception", f"failed to create query: {error}") from error
