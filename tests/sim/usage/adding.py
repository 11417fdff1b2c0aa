"""The rows of history and the usage documents, each summed by tenant, workflow and day: the two are to be the same."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import NAMES, documents

Sums = dict[tuple[str, str, str], dict[str, Any]]

COUNTS = ("starts", "attempts", "retries", "executor_ms", "llm_calls", "llm_tokens", "stored_bytes")


def summed(steps: Iterable[dict[str, Any]], instances: Iterable[dict[str, Any]]) -> Sums:
    """What all rows together say. Costs are summed as decimals, so exactly."""
    sums: Sums = {}

    def of(row: dict[str, Any], time: str) -> dict[str, Any]:
        key = (row["tenant"], row["workflow"]["name"], row[time][:10])
        return sums.setdefault(key, {**dict.fromkeys(COUNTS, 0), "cost": Decimal(0)})

    for row in steps:
        found, step, usage = of(row, "@timestamp"), row["step"], row.get("usage", {})
        found["attempts"] += 1
        found["retries"] += step["attempt"] > 1
        found["executor_ms"] += step.get("duration_ms", 0)
        found["llm_calls"] += usage.get("llm_calls", 0)
        found["llm_tokens"] += usage.get("llm_tokens", 0)
        found["cost"] += Decimal(repr(usage.get("cost", 0)))
        found["stored_bytes"] += sum(len(step.get(name, "").encode()) for name in ("input", "output"))
    for row in instances:
        if "redrives" not in row:
            of(row, "created_at")["starts"] += 1
    return sums


def of_history(cluster: ModelElasticsearch) -> Sums:
    return summed(documents(cluster, NAMES.steps).values(), documents(cluster, NAMES.instances).values())


def of_usage(cluster: ModelElasticsearch) -> Sums:
    return written(documents(cluster, NAMES.usage).values())


def written(usage: Iterable[dict[str, Any]]) -> Sums:
    found = {(one["tenant"], one["workflow"], one["@timestamp"][:10]): one for one in usage}
    return {key: {name: one[name] for name in (*COUNTS, "cost")} for key, one in found.items()}


def check_same(rows: Sums, usage: Sums) -> None:
    """To the row; costs to 1e-9."""
    assert usage.keys() == rows.keys()
    for key, one in rows.items():
        assert {name: usage[key][name] for name in COUNTS} == {name: one[name] for name in COUNTS}, key
        assert usage[key]["cost"] == pytest.approx(float(one["cost"]), abs=1e-9), key
