"""`es-index`: documents into an Elasticsearch index.

Payload:

- `index`: the name of one index or alias
- `documents`: a list. An object is indexed as it is, under its `_id` if it has one. A text is a log line: a JSON object
  in text is indexed as that, any other text as `{"message": text}`
- `mappings`, `settings`, both optional: the index is created with them if it does not exist; if it does, they count for
  nothing
- `refresh`: `true` (default) makes the documents visible to the step that searches next; `false` does not wait, and
  `"wait_for"` waits for the index's own refresh

Result: `{"indexed", "created", "updated", "index_created", "took_ms"}`.

A document without an `_id` gets one that is made of the instance, the step's place in it, and the document's position.
So another attempt overwrites what the one before has written, and nothing is there twice.
Error types: `payload.invalid`, `es.rejected` (some documents were refused; the others stay), `es.<status>`,
`es.connection`, `es.timeout`.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ..errors import StepFailed
from ..running.context import StepContext
from .cluster import Cluster, index_path
from .payloads import invalid, payload_as

CAPABILITY = "es-index"

_SMALLER = "index fewer documents at a time"
_FOR_NOW = (429, 503)


class Payload(Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    index: Annotated[str, Meta(min_length=1, max_length=255)]
    documents: list[dict[str, Any] | str]
    mappings: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    refresh: bool | Literal["wait_for"] = True


class EsIndex:
    """Indexes into one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def __call__(self, context: StepContext) -> dict[str, Any]:
        payload = payload_as(context.payload, Payload)
        if "," in payload.index or "*" in payload.index:
            raise invalid(f"index is {payload.index!r}; documents go into one index, so allowed is one name")
        path = index_path(payload.index)
        created = await self._create(path, payload)
        result = {"indexed": 0, "created": 0, "updated": 0, "index_created": created, "took_ms": 0}
        if payload.documents:
            lines = bulk_lines(payload.documents, context.idempotency_key)
            refresh = str(payload.refresh).lower()
            answer = await self._cluster.ask(
                "POST",
                f"{path}/_bulk?refresh={refresh}",
                lines,
                content_type="application/x-ndjson",
                way_out=_SMALLER,
            )
            result |= counts_of(answer)
        return result

    async def _create(self, path: str, payload: Payload) -> bool:
        """Whether this call made the index. Without mappings and settings it is left to Elasticsearch to make it."""
        if payload.mappings is None and payload.settings is None:
            return False
        parts = {"mappings": payload.mappings, "settings": payload.settings}
        body = msgspec.json.encode({name: part for name, part in parts.items() if part is not None})
        try:
            await self._cluster.ask("PUT", path, body, way_out=_SMALLER)
        except StepFailed as error:
            if error.type == "es.400" and "resource_already_exists_exception" in error.message:
                return False
            if error.type == "es.400" and "exists with the same name as alias" in error.message:
                return False
            raise
        return True


def bulk_lines(documents: list[dict[str, Any] | str], key: str) -> bytes:
    """The body of the bulk. Ids are short, as they are stored and compared: 80 bits of the key's hash, a number."""
    prefix = hashlib.sha256(key.encode()).hexdigest()[:20]
    lines: list[Any] = []
    for number, given in enumerate(documents):
        document = dict(given) if isinstance(given, dict) else _from_line(given)
        id = document.pop("_id", None)
        lines += [{"index": {"_id": f"{prefix}-{number}" if id is None else str(id)}}, document]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def counts_of(answer: dict[str, Any]) -> dict[str, int]:
    """What became of the documents. Raises: StepFailed (`es.rejected`) if any was refused."""
    items = [item["index"] for item in answer["items"]]
    refused = [item for item in items if "error" in item]
    if refused:
        first = refused[0]["error"]
        cause = first.get("caused_by", {}).get("reason", "")
        message = (
            f"{len(refused)} of {len(items)} documents were refused; the first: {first['type']}: {first['reason']}"
        )
        raise StepFailed(
            "es.rejected",
            f"{message}: {cause}" if cause else message,
            retryable=all(item["status"] in _FOR_NOW for item in refused),
        )
    created = sum(item["result"] == "created" for item in items)
    return {"indexed": len(items), "created": created, "updated": len(items) - created, "took_ms": answer["took"]}


def _from_line(line: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError):
        value = None
    return value if isinstance(value, dict) else {"message": line}
