"""`es-query`: one search in Elasticsearch.

Payload, every field optional:

- `index`: a name, a pattern, or a list of them. Default: what the step's `permissions` let it read (`read:logs-*`)
- `query`: Query DSL. Default: every document
- `size`: how many hits, 0 to 10,000. Default: 10
- `aggs`, `sort`, `from`, `_source`, `fields`, `collapse`, `highlight`, `min_score`, `post_filter`, `runtime_mappings`,
  `search_after`, `track_total_hits`, `timeout`: as in Elasticsearch

Result: `{"hits": [...], "total", "aggregations", "took_ms"}`. A hit is its source with `_id` and `_index`, and
`_score`, `_sort`, `_fields`, `_highlight` where the search gives them. `total` is null if it was not counted;
`"total_is_lower_bound": true` stands beside it if Elasticsearch stopped counting there.

Shards that fail, or do not answer within `timeout`, fail the search: a result is never silently partial.
Error types: `payload.invalid`, `es.<status>`, `es.connection`, `es.timeout`, `es.too_large`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..errors import StepFailed
from ..running.context import StepContext
from .cluster import Cluster, index_path
from .payloads import checked_size, invalid, payload_as

CAPABILITY = "es-query"

_SMALLER = "ask for fewer hits (size), for fewer fields (_source), or aggregate"
_READ = "read:"

UpToAPage = Annotated[int, Meta(ge=0, le=10_000)]


class Payload(
    Struct,
    frozen=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"from_": "from", "source": "_source"},
):
    """See the module."""

    index: str | list[str] | None = None
    query: dict[str, Any] | None = None
    size: UpToAPage | None = None
    aggs: dict[str, Any] | None = None
    sort: Any = None
    from_: UpToAPage | None = None
    source: Any = None
    fields: list[Any] | None = None
    collapse: dict[str, Any] | None = None
    highlight: dict[str, Any] | None = None
    min_score: float | None = None
    post_filter: dict[str, Any] | None = None
    runtime_mappings: dict[str, Any] | None = None
    search_after: list[Any] | None = None
    track_total_hits: bool | int | None = None
    timeout: str | None = None


class EsQuery:
    """Searches one cluster. Results are at most `result_max_bytes`."""

    def __init__(self, cluster: Cluster, result_max_bytes: int) -> None:
        self._cluster = cluster
        self._result_max_bytes = result_max_bytes

    async def __call__(self, context: StepContext) -> dict[str, Any]:
        payload = payload_as(context.payload, Payload)
        body = msgspec.to_builtins(payload)
        body.pop("index", None)
        path = index_path(_index(payload, context.step.permissions))
        answer = await self._cluster.ask(
            "POST",
            f"{path}/_search?allow_partial_search_results=false",
            msgspec.json.encode(body),
            way_out=_SMALLER,
        )
        return checked_size(result_of(answer), self._result_max_bytes, "es.too_large", _SMALLER)


def result_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Elasticsearch's answer in the form of the result. Raises: StepFailed (`es.timeout`) for one cut short."""
    if answer["timed_out"]:
        raise StepFailed("es.timeout", f"the search did not end within its timeout; it took {answer['took']} ms")
    total = answer["hits"].get("total")
    result = {
        "hits": [_hit(hit) for hit in answer["hits"]["hits"]],
        "total": None if total is None else total["value"],
        "aggregations": answer.get("aggregations", {}),
        "took_ms": answer["took"],
    }
    if total is not None and total["relation"] != "eq":
        result["total_is_lower_bound"] = True
    return result


def _hit(hit: dict[str, Any]) -> dict[str, Any]:
    found = {**hit.get("_source", {}), "_id": hit["_id"], "_index": hit["_index"]}
    if hit.get("_score") is not None:
        found["_score"] = hit["_score"]
    for name in ("sort", "fields", "highlight"):
        if name in hit:
            found[f"_{name}"] = hit[name]
    return found


def _index(payload: Payload, permissions: list[str]) -> str:
    """Raises: StepFailed if neither the payload nor the permissions name an index."""
    index = payload.index
    if index is None:
        index = [name.removeprefix(_READ) for name in permissions if name.startswith(_READ)]
    text = index if isinstance(index, str) else ",".join(index)
    if not text:
        raise invalid(
            "the payload names no index, and the step's permissions none to read; write index: logs-* in its input"
        )
    return text
