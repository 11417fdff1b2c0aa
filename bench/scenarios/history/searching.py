"""The page of 50: how long typical searches take, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import Any

from msgspec import Struct, to_builtins

from ...ground import Scheduler
from ...load import hired, spread
from ...load.history.orders import SearcherSetup, Walk, Walked
from ...load.history.rows import RARE_WORD, TEAMS, TENANTS, WORKFLOWS
from ...load.percentiles import percentile
from ...scenario import Run
from .plan import SearchPlan
from .seeding import Seeds

_SEARCH = "/_workflows/_search"
_WITHIN_S = 120.0
_WEEK_MS = 7 * 86_400_000
# Each search's first walk: caches are filled, and nothing is measured.
_UNMEASURED = 1


class Kind(Struct, frozen=True):
    """A search that people make. `counted` names what the seeds say that it finds; "" where they can't."""

    name: str
    target: str
    counted: str = ""
    status: str = ""


class Timing(Struct, frozen=True):
    """How long the pages of one kind took, in milliseconds."""

    search: str
    page: str
    pages: int
    p50_ms: float
    p95_ms: float
    max_ms: float


class Searched(Struct, frozen=True):
    timings: list[Timing]
    worst_p95_ms: float | None
    wrong: dict[str, int]
    figures: dict[str, Any]


def kinds(now_ms: int) -> list[Kind]:
    """What is searched for; times count from now."""
    since = (now_ms - _WEEK_MS) // 1_000 * 1_000
    return [
        Kind("all", _SEARCH),
        Kind("failed", f"{_SEARCH}?status=failed", "status=failed", "failed"),
        Kind("a tenant", f"{_SEARCH}?tenant={TENANTS[0]}", f"tenant={TENANTS[0]}"),
        Kind("a label", f"{_SEARCH}?label=team={TEAMS[0]}", f"label=team={TEAMS[0]}"),
        Kind("a rare word", f"{_SEARCH}?text={RARE_WORD}", f"text={RARE_WORD}"),
        Kind("a workflow since a week", f"{_SEARCH}?workflow={WORKFLOWS[0]}&since={_iso(since)}"),
        Kind("the slowest", f"{_SEARCH}?sort=duration&status=succeeded", "status=succeeded", "succeeded"),
    ]


async def searched(run: Run, plan: SearchPlan, replica: Scheduler, seeds: Seeds) -> Searched:
    """All rounds; kinds take turns, so that all meet the same state of the machine."""
    every = kinds(int(time() * 1_000))
    walks: dict[str, list[Walked]] = {kind.name: [] for kind in every}
    async with hired("searcher", SearcherSetup(replica.address)) as searcher:
        for number in range(_UNMEASURED + plan.rounds):
            for kind in every:
                order = Walk(kind.target, plan.pages, plan.size)
                walked = await searcher.ask(order, Walked, within_s=_WITHIN_S)
                walks[kind.name].append(walked)
            if number >= _UNMEASURED and not run.has_time_for(0.0):
                break
    timings = [timing for kind in every for timing in timings_of(kind.name, walks[kind.name][_UNMEASURED:])]
    worst = max((timing.p95_ms for timing in timings), default=None)
    run.say(f"pages of {plan.size}: the slowest search takes {worst} ms (p95)")
    wrong = wrong_walks(every, walks, seeds, plan)
    return Searched(timings, worst, wrong, {"pages": to_builtins(timings)})


def timings_of(name: str, walks: list[Walked]) -> list[Timing]:
    """First pages and following ones apart. Pure."""
    pages = {
        "first": [walked.page_ns[0] for walked in walks if walked.page_ns],
        "following": [ns for walked in walks for ns in walked.page_ns[1:]],
    }
    found = []
    for page, samples in pages.items():
        one = spread(samples)
        if one is not None:
            p95_ms = round(percentile(sorted(samples), 95.0) / 1e6, 3)
            found.append(Timing(name, page, one.count, one.p50_ms, p95_ms, one.max_ms))
    return found


def wrong_walks(every: list[Kind], walks: dict[str, list[Walked]], seeds: Seeds, plan: SearchPlan) -> dict[str, int]:
    """What must never happen to pages. Pure.

    Rows of the run itself are of another tenant and workflow than the seeds, so that these can be counted.
    """
    wrong = {
        "searches_failed": 0,
        "instances_twice": 0,
        "instances_out_of_place": 0,
        "totals_wrong": 0,
        "pages_short": 0,
    }
    for kind in every:
        expected = seeds.by.get(kind.counted, 0)
        for walked in walks[kind.name]:
            wrong["searches_failed"] += walked.failed
            wrong["instances_twice"] += len(walked.ids) - len(set(walked.ids))
            wrong["instances_out_of_place"] += sum(bool(kind.status) and one != kind.status for one in walked.statuses)
            if kind.counted and walked.total is not None:
                is_right = walked.total == expected if walked.exact else walked.total <= expected
                wrong["totals_wrong"] += not is_right
                wanted = min(expected, plan.pages * plan.size)
                wrong["pages_short"] += max(0, wanted - len(walked.ids))
    return wrong


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
