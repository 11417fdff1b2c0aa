"""The requests of a claimer to the index of tasks: what it sends, and what it reads of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..http1 import Address, Answer, Connection
from .tasks import TASK_TYPE, iso

# A running task is retried when its retryAt has passed: the task type's timeout, five minutes unless set.
_RETRY_AFTER_MS = 300_000
_MAX_RESULTS = 10_000
_NDJSON = "application/x-ndjson"


class TableRefused(Exception):
    """Elasticsearch did not take a request that it should take; the sentence has its answer's first words."""


class _Slim(Struct, rename="camel"):
    run_at: str
    attempts: int


class _Envelope(Struct):
    task: _Slim


class FoundTask(
    Struct,
    frozen=True,
    rename={"id": "_id", "seq_no": "_seq_no", "primary_term": "_primary_term", "source": "_source"},
):
    """A task as the last refresh saw it, without its parameters and state."""

    id: str
    seq_no: int
    primary_term: int
    source: _Envelope


class TaskVersion(
    Struct, frozen=True, rename={"id": "_id", "seq_no": "_seq_no", "primary_term": "_primary_term", "source": "_source"}
):
    """A task's version as it stands now; `seq_no` is -1 for none. `source` is there where it was asked for."""

    id: str
    seq_no: int = -1
    primary_term: int = 0
    source: Raw = Raw(b"")


class UpdatedTask(Struct, frozen=True, rename={"id": "_id", "seq_no": "_seq_no", "primary_term": "_primary_term"}):
    """One update's answer: 200, or 409 when another claimer was faster."""

    id: str
    status: int
    seq_no: int = -1
    primary_term: int = 0


class _Hits(Struct):
    hits: list[FoundTask]


class _Search(Struct):
    hits: _Hits


class _Searches(Struct):
    responses: list[_Search]


class _Got(Struct):
    docs: list[TaskVersion]


class _Item(Struct):
    update: UpdatedTask


class _Bulk(Struct):
    items: list[_Item]


_searches = msgspec.json.Decoder(_Searches)
_got = msgspec.json.Decoder(_Got)
_bulk = msgspec.json.Decoder(_Bulk)
_encode = msgspec.json.encode


class TaskTable:
    """The index of tasks over one connection. Every method is one request. Raises: TableRefused; ConnectionLost."""

    def __init__(self, elasticsearch: Address, index: str, owner: str) -> None:
        self._elasticsearch = elasticsearch
        self._index = index
        self._owner = owner
        self._connection = Connection(elasticsearch)

    def due(self, size: int, partitions: Sequence[int] = ()) -> list[FoundTask]:
        """Up to `size` tasks that may be claimed, the longest due first; of these partitions, or of all."""
        body = b"{}\n" + _encode(due_body(min(size, _MAX_RESULTS), partitions)) + b"\n"
        answer = self._ask(f"/{self._index}/_msearch?ignore_unavailable=true", body, _NDJSON)
        (search,) = _searches.decode(answer.body).responses
        return search.hits.hits

    def versions(self, ids: Sequence[str]) -> list[TaskVersion]:
        """The versions that stand now, read in real time."""
        return _got.decode(self._ask(f"/{self._index}/_mget?_source=false", _encode({"ids": ids})).body).docs

    def whole(self, ids: Sequence[str]) -> list[TaskVersion]:
        """The whole documents, read in real time."""
        documents = [{"_id": id, "_index": self._index} for id in ids]
        return _got.decode(self._ask("/_mget", _encode({"docs": documents})).body).docs

    def claim(self, tasks: Sequence[FoundTask]) -> list[UpdatedTask]:
        """Mark these very versions as running here, by partial updates."""
        now_ms = int(time() * 1_000)
        started_at, retry_at = iso(now_ms), iso(now_ms + _RETRY_AFTER_MS)
        lines: list[bytes] = []
        for found in tasks:
            task = found.source.task
            changed = {
                "scheduledAt": task.run_at,
                "status": "running",
                "startedAt": started_at,
                "attempts": task.attempts + 1,
                "retryAt": retry_at,
                "ownerId": self._owner,
            }
            lines.append(
                b'{"update":{"_id":%b,"if_seq_no":%d,"if_primary_term":%d}}'
                % (_encode(found.id), found.seq_no, found.primary_term)
            )
            lines.append(_encode({"doc": {"task": changed}}))
        answer = self._ask(f"/{self._index}/_bulk?refresh=false", b"\n".join((*lines, b"")), _NDJSON)
        return [item.update for item in _bulk.decode(answer.body).items]

    def refresh(self) -> None:
        """Let the next search see what has been written."""
        self._ask(f"/{self._index}/_refresh", b"")

    def _ask(self, target: str, body: bytes, content_type: str = "application/json") -> Answer:
        answer = self._connection.exchange(self._elasticsearch.request("POST", target, body, content_type=content_type))
        if answer.status != 200:
            words = answer.body[:300].decode(errors="replace")
            raise TableRefused(f"Elasticsearch answered {answer.status} to {target}: {words}")
        return answer


def due_body(size: int, partitions: Sequence[int]) -> dict[str, Any]:
    """The search for tasks that may be claimed: enabled, of a known type, idle and due or running and overdue.

    Kibana sorts with two scripts (priority by type, then retryAt or runAt). All tasks here have one type and none is
    overdue, so sorting by the field gives the same order, for less.
    """
    held = {"bool": {"should": [_term("status", "running"), _term("status", "claiming")]}}
    idle = {"bool": {"must": [_term("status", "idle"), {"range": {"task.runAt": {"lte": "now"}}}]}}
    overdue = {"bool": {"must": [held, {"range": {"task.retryAt": {"lte": "now"}}}]}}
    query: dict[str, Any] = {
        "must": [
            {"bool": {"must": [_term("enabled", True)]}},
            {"bool": {"must": [{"terms": {"task.taskType": [TASK_TYPE]}}]}},
            {"bool": {"should": [idle, overdue]}},
            {"bool": {"must_not": [_term("status", "unrecognized")]}},
        ],
        "filter": [{"bool": {"must_not": [_running_in_time()]}}, {"term": {"type": "task"}}],
    }
    if partitions:
        none = {"bool": {"must_not": [{"exists": {"field": "task.partition"}}]}}
        query["filter"].append({"bool": {"should": [{"terms": {"task.partition": list(partitions)}}, none]}})
    return {
        "query": {"bool": query},
        "sort": [{"task.runAt": "asc"}],
        "size": size,
        "seq_no_primary_term": True,
        "_source": {"excludes": ["task.state", "task.params"]},
    }


def _running_in_time() -> dict[str, Any]:
    return {
        "bool": {
            "should": [_term("status", "running"), _term("status", "claiming")],
            "minimum_should_match": 1,
            "must": {"range": {"task.retryAt": {"gt": "now"}}},
        }
    }


def _term(field: str, value: str | bool) -> dict[str, Any]:
    return {"term": {f"task.{field}": value}}
