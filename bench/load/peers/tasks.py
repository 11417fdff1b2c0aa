"""Tasks as Kibana's Task Manager keeps them: their index, and documents that wait to be claimed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from .partitions import partition_of

TASK_TYPE = "bench:work"
ID_PREFIX = "task:bench-"

# What Kibana gives its saved-object indices; one shard, and an explicit refresh of a second.
INDEX_SETTINGS: dict[str, Any] = {
    "number_of_shards": 1,
    "auto_expand_replicas": "0-1",
    "refresh_interval": "1s",
    "priority": 10,
    "mapping.total_fields.limit": 1500,
}

_KEYWORD = {"type": "keyword"}
_DATE = {"type": "date"}

# The fields of a task that Kibana indexes, and of the envelope around it.
INDEX_MAPPING: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "type": _KEYWORD,
        "namespace": _KEYWORD,
        "namespaces": _KEYWORD,
        "originId": _KEYWORD,
        "updated_at": _DATE,
        "created_at": _DATE,
        "references": {
            "type": "nested",
            "properties": {"id": _KEYWORD, "name": _KEYWORD, "type": _KEYWORD},
        },
        "coreMigrationVersion": _KEYWORD,
        "typeMigrationVersion": _KEYWORD,
        "managed": {"type": "boolean"},
        "task": {
            "dynamic": False,
            "properties": {
                "taskType": _KEYWORD,
                "scheduledAt": _DATE,
                "runAt": _DATE,
                "retryAt": _DATE,
                "enabled": {"type": "boolean"},
                "schedule": {"properties": {"interval": _KEYWORD}},
                "attempts": {"type": "integer"},
                "status": _KEYWORD,
                "scope": _KEYWORD,
                "ownerId": _KEYWORD,
                "partition": {"type": "integer"},
                "priority": {"type": "integer"},
            },
        },
    },
}


def number_of(id: str) -> int:
    """The number of the task with this id."""
    return int(id.removeprefix(ID_PREFIX))


def waiting_tasks(count: int, *, first: int, at_ms: int) -> Iterator[tuple[str, bytes]]:
    """Ids and sources of single-run tasks that are due. The later a task's number, the later it was due."""
    created = iso(at_ms)
    for number in range(first, first + count):
        id = f"{ID_PREFIX}{number}"
        run_at = iso(at_ms - 600_000 + number % 600_000)
        task = {
            "taskType": TASK_TYPE,
            "params": f'{{"spaceId":"default","actionTaskParamsId":"{number}","rule":"{"x" * 120}","n":{number}}}',
            "state": '{"alertTypeState":{},"alertInstances":{},"previousStartedAt":null}',
            "scope": ["actions"],
            "enabled": True,
            "scheduledAt": run_at,
            "runAt": run_at,
            "startedAt": None,
            "retryAt": None,
            "ownerId": None,
            "attempts": 0,
            "status": "idle",
            "traceparent": "",
            "partition": partition_of(id),
            "priority": 50,
        }
        envelope = {
            "type": "task",
            "references": [],
            "managed": False,
            "coreMigrationVersion": "8.8.0",
            "typeMigrationVersion": "10.4.0",
            "created_at": created,
            "updated_at": created,
            "task": task,
        }
        yield id, msgspec.json.encode(envelope)


def iso(at_ms: int) -> str:
    """A time as Kibana writes it: UTC with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
