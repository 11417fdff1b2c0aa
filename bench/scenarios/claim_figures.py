"""What the rounds of the `claims` scenario come to. Pure."""

from __future__ import annotations

from statistics import median
from typing import Any

from msgspec import Struct

from ..load import spread
from ..load.closed import Executed
from ..report import Target, at_least, no_more_than
from .raw_limit import Limit

RATIO = 0.4


class Round(Struct, frozen=True):
    """One backlog, claimed. Times are those of a claim request; processor times are per claimed step.

    `raw_per_s` is the better of the raw passes just before and just after, `ratio` the claims to it;
    `raw_elasticsearch_cpu_us` what Elasticsearch used for a document then.
    """

    max_steps: int
    steps: int
    claims_per_s: float
    raw_per_s: float
    ratio: float
    requests: int
    p50_ms: float
    p99_ms: float
    scheduler_cpu_us: float
    elasticsearch_cpu_us: float
    raw_elasticsearch_cpu_us: float
    executors_cpu_us: float
    conflicts: int


def round_of(
    max_steps: int,
    found: Executed,
    limits: tuple[Limit, Limit],
    *,
    scheduler_cpu_s: float,
    elasticsearch_cpu_s: float,
    conflicts: float,
) -> Round:
    """The claims of one backlog between the two limits."""
    steps = max(1, found.steps)
    claims_per_s = found.steps / max(1e-9, (found.claimed_ns - found.began_ns) / 1e9)
    raw_per_s = max(limit.documents_per_s for limit in limits)
    requests = spread(found.claim_ns)
    return Round(
        max_steps=max_steps,
        steps=found.steps,
        claims_per_s=round(claims_per_s),
        raw_per_s=raw_per_s,
        ratio=round(claims_per_s / raw_per_s, 3),
        requests=len(found.claim_ns),
        p50_ms=0.0 if requests is None else requests.p50_ms,
        p99_ms=0.0 if requests is None else requests.p99_ms,
        scheduler_cpu_us=round(scheduler_cpu_s * 1e6 / steps, 1),
        elasticsearch_cpu_us=round(elasticsearch_cpu_s * 1e6 / steps, 1),
        raw_elasticsearch_cpu_us=round(sum(limit.elasticsearch_cpu_us for limit in limits) / len(limits), 1),
        executors_cpu_us=round(found.cpu_ns / 1_000 / steps, 1),
        conflicts=round(conflicts),
    )


def medians(rounds: list[Round]) -> list[dict[str, Any]]:
    """For each `max`, the median of each figure over its rounds; conflicts are summed."""
    found = []
    for max_steps in sorted({each.max_steps for each in rounds}):
        group = [each for each in rounds if each.max_steps == max_steps]
        row: dict[str, Any] = {"max": max_steps, "rounds": len(group), "steps": sum(each.steps for each in group)}
        for name in (
            "claims_per_s",
            "raw_per_s",
            "ratio",
            "p50_ms",
            "p99_ms",
            "scheduler_cpu_us",
            "elasticsearch_cpu_us",
            "raw_elasticsearch_cpu_us",
            "executors_cpu_us",
        ):
            row[name] = round(median(getattr(each, name) for each in group), 3)
        row["conflicts"] = sum(each.conflicts for each in group)
        found.append(row)
    return found


def targets_of(rows: list[dict[str, Any]], conflicts: int) -> list[Target]:
    """The bars of `claims`; `conflicts` are those of the whole run."""
    ratio = next((row["ratio"] for row in rows if row["max"] == 100), None)
    return [
        at_least("claims with max = 100, of raw", ratio, RATIO, "ratio"),
        no_more_than("conflicts", conflicts, 0, "conflicts"),
    ]
