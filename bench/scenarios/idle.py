"""What a replica asks of Elasticsearch when a hundred thousand instances sleep and nothing is due.

The replica reaches Elasticsearch through a proxy of the benchmark's, which counts requests; searches are counted by
Elasticsearch, too. Half of the instances wait for an approval for ever, half for timers that are due tomorrow.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from msgspec import Struct, structs, to_builtins

from ..ground import Cluster, running_scheduler
from ..ground.ownership import lanes_of, serves_all
from ..ground.sleeping import sleeping_lanes
from ..load import Hand, hired
from ..load.orders import CountingProxySetup, CountRequests, RequestCounts
from ..processes import cpu_s_of, resident_bytes_of
from ..report import Outcome, no_more_than
from ..scenario import Run, Scenario

REQUESTS_PER_MINUTE_AND_LANE = 120

_TOMORROW_S = 20 * 3_600.0
_OPEN_WITHIN_S = 300.0
_ASK_WITHIN_S = 10.0
_SEARCHES = ("_search", "_msearch", "_count", "_async_search")


class Plan(Struct, frozen=True):
    """`watch_s` is what is measured; before it the replica has `settle_s` to do what a take-over leaves to be done.

    For `base_s` before the replica starts Elasticsearch's own processor time with nothing to do is taken.
    """

    sleepers: int
    base_s: float
    settle_s: float
    watch_s: float


FULL = Plan(100_000, 20.0, 20.0, 60.0)
QUICK = Plan(100_000, 2.0, 3.0, 12.0)
SMOKE = Plan(2_000, 0.2, 0.5, 1.5)


async def run(run: Run) -> Outcome:
    """Fill the lanes, start a replica behind the proxy, and watch it do nothing."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    cluster, half = run.cluster, plan.sleepers // 2
    await sleeping_lanes(cluster, for_ever=plan.sleepers - half, timed=half, lead_s=_TOMORROW_S, span_s=3_600.0)
    run.say(f"{plan.sleepers} instances sleep")
    base_percent = await _elasticsearch_percent(cluster, plan.base_s)
    async with _counted(cluster) as (proxy, behind), running_scheduler(behind) as replica:
        await serves_all(replica, within_s=_OPEN_WITHIN_S)
        lanes = len(await lanes_of(replica))
        run.say(f"all {lanes} lanes are served; watching for {plan.watch_s:.0f} s")
        await asyncio.sleep(plan.settle_s)
        pid, began_s = replica.pid, monotonic()
        before, searches = await _asked(proxy), await cluster.searches()
        cpu_s, elasticsearch_s = cpu_s_of(pid), await cluster.cpu_s()
        await asyncio.sleep(plan.watch_s)
        cpu_s, elasticsearch_s = cpu_s_of(pid) - cpu_s, await cluster.cpu_s() - elasticsearch_s
        searches = await cluster.searches() - searches
        after, span_s = await _asked(proxy), monotonic() - began_s
        resident_bytes, peak_bytes = resident_bytes_of(pid)
        unexpected = round((await replica.counts()).unexpected)
    requests = _grown(before, after, cluster.prefix)
    minutes = span_s / 60
    per_minute = sum(requests.values()) / minutes
    searched = sum(count for name, count in requests.items() if name.rpartition("/")[2] in _SEARCHES)
    figures: dict[str, Any] = {
        "requests_per_minute": round(per_minute, 1),
        "requests_per_minute_and_lane": round(per_minute / lanes, 1),
        "searches_counted_by_elasticsearch": searches,
        "search_requests": searched,
        "scheduler_cpu_percent": round(100 * cpu_s / span_s, 2),
        "elasticsearch_cpu_percent": round(100 * elasticsearch_s / span_s, 2),
        "elasticsearch_cpu_percent_without_replica": base_percent,
        "resident_mb": round(resident_bytes / 1e6, 1),
        "resident_peak_mb": round(peak_bytes / 1e6, 1),
        "requests": [
            {"request": name, "per_minute": round(count / minutes, 1)} for name, count in sorted(requests.items())
        ],
    }
    return Outcome(
        figures=figures,
        targets=[
            no_more_than("searches", max(searches, searched), 0, "searches"),
            no_more_than(
                "requests a minute and lane", per_minute / lanes, REQUESTS_PER_MINUTE_AND_LANE, "requests/min"
            ),
        ],
        wrong={"unexpected_errors": unexpected},
        settings={**to_builtins(plan), "lanes": lanes},
    )


@asynccontextmanager
async def _counted(cluster: Cluster) -> AsyncIterator[tuple[Hand, Cluster]]:
    """The counting proxy, and the same cluster reached through it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    settings = structs.replace(cluster.settings, urls=(f"http://127.0.0.1:{port}",))
    async with hired("counting-proxy", CountingProxySetup(cluster.address, port)) as proxy:
        yield proxy, Cluster(cluster.store, settings, embedded=cluster.embedded)


async def _elasticsearch_percent(cluster: Cluster, span_s: float) -> float:
    before_s, began_s = await cluster.cpu_s(), monotonic()
    await asyncio.sleep(span_s)
    return round(100 * (await cluster.cpu_s() - before_s) / (monotonic() - began_s), 2)


async def _asked(proxy: Hand) -> RequestCounts:
    return await proxy.ask(CountRequests(), RequestCounts, within_s=_ASK_WITHIN_S)


def _grown(before: RequestCounts, after: RequestCounts, prefix: str) -> dict[str, int]:
    """What passed in between, with the usual index prefix for this run's."""
    grown = {name: count - before.requests.get(name, 0) for name, count in after.requests.items()}
    return {name.replace(prefix, "workflow"): count for name, count in grown.items() if count}


IDLE = Scenario("idle", "What does a replica ask of Elasticsearch when instances sleep and nothing is due?", run)
