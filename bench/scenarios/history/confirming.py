"""How soon the row of an instance stands in history, at steady load."""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Any

from msgspec import Struct, to_builtins

from ...ground import Scheduler
from ...load import hired
from ...load.documents import one_step
from ...load.history.orders import Confirmed, ConfirmerSetup, FinishConfirming
from ...load.orders import Claim, ClaimerSetup, Fire, Start, StarterSetup, Starts
from ...scenario import Run
from .figures import Delays, delays_of
from .plan import Plan
from .seeding import write_index

WORKFLOW = "bench-confirming"
_LEAD_IN_NS = 100_000_000
_LAST_ROWS_S = 15.0
_SLACK_S = 60.0
_LAG_EVERY_S = 0.5


class Found(Struct, frozen=True):
    """`lag_max_records` is the most that the replica itself said to have not confirmed, asked twice a second."""

    delays: Delays
    lag_max_records: int
    starts: list[Start]
    claims: list[Claim]
    failures: int
    figures: dict[str, Any]


class _Lag:
    """The most that was seen."""

    def __init__(self) -> None:
        self.most_records = 0

    async def watch(self, replica: Scheduler) -> None:
        """Ask the replica until cancelled."""
        while True:
            self.most_records = max(self.most_records, round((await replica.counts()).history_lag))
            await asyncio.sleep(_LAG_EVERY_S)


async def measured(run: Run, plan: Plan, replica: Scheduler, rate: float) -> Found:
    """One span at that many starts a second, with no ageing beside it."""
    cluster = run.cluster
    connections = min(64, max(8, round(rate / 10)))
    await replica.put_definition(WORKFLOW, one_step(WORKFLOW, WORKFLOW))
    index = await write_index(cluster, f"{cluster.prefix}-instances")
    claimer = ClaimerSetup(replica.address, WORKFLOW, connections)
    async with (
        hired("starter", StarterSetup(replica.address, WORKFLOW, connections)) as starter,
        hired("confirmer", ConfirmerSetup(claimer, cluster.address, index, plan.confirm_every)) as confirmer,
    ):
        lag = _Lag()
        watching = asyncio.ensure_future(lag.watch(replica))
        try:
            order = Fire(monotonic_ns() + _LEAD_IN_NS, rate, plan.confirm_s, f"{run.options.seed}-confirming")
            starts = await starter.ask(order, Starts, within_s=plan.confirm_s + _SLACK_S)
            confirmed = await confirmer.ask(FinishConfirming(_LAST_ROWS_S), Confirmed, within_s=_SLACK_S)
        finally:
            watching.cancel()
        until_ns = monotonic_ns()
    delays = delays_of(confirmed.rows, until_ns)
    if delays.readable is not None and delays.searchable is not None:
        run.say(
            f"rows confirmed after {delays.readable.p99_ms} ms, found after {delays.searchable.p99_ms} ms (p99 of "
            f"{delays.instances} instances at {rate:g}/s)"
        )
    figures = {
        "rate_per_s": rate,
        "instances": delays.instances,
        "readable": to_builtins(delays.readable),
        "searchable": to_builtins(delays.searchable),
        "lag_max_records": lag.most_records,
        "looks_unanswered": confirmed.unanswered,
    }
    return Found(delays, lag.most_records, starts.starts, confirmed.claims, confirmed.failures, figures)
