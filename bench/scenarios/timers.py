"""How late timers fire: from when a step's timer is due until the step has arrived at an executor that waits for it.

Sleeping instances, whose timers approve their steps, are written into lanes that nobody owns. Then a replica is
started, which has to find them, and executors wait in long polls. The lag holds the firing and the claim, whose write
is on disk before it is answered: a step is claimable somewhat earlier than it arrives.
"""

from __future__ import annotations

from time import time
from typing import Any

from msgspec import Struct, to_builtins

from ..ground import running_scheduler
from ..ground.ownership import serves_all
from ..ground.sleeping import sleeping_lanes
from ..load import hired, spread
from ..load.closed import Execute, Executed, ExecutorSetup
from ..load.sleepers import CAPABILITY, STEP
from ..processes import cpu_s_of, resident_bytes_of
from ..report import Outcome, at_most
from ..scenario import Run, Scenario
from .tally import Tally

LAG_P99_S = 1.0

_EXECUTORS = 8
_MAX_STEPS = 100
_OPEN_WITHIN_S = 300.0
_SLACK_S = 60.0


class Plan(Struct, frozen=True):
    """`timers` due evenly over `span_s`; `lead_s` is there to fill the lanes and to start the replica."""

    timers: int
    span_s: float
    lead_s: float


FULL = Plan(100_000, 60.0, 45.0)
QUICK = Plan(16_667, 10.0, 12.0)
SMOKE = Plan(1_000, 2.0, 4.0)


async def run(run: Run) -> Outcome:
    """Fill the lanes, start a replica, claim what becomes ready."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    tally = Tally((STEP,))
    tally.seeded(plan.timers)
    run.say(f"{plan.timers} timers, due over {plan.span_s:.0f} s")
    due_ms = await sleeping_lanes(run.cluster, timed=plan.timers, lead_s=plan.lead_s, span_s=plan.span_s)
    async with running_scheduler(run.cluster) as replica:
        await serves_all(replica, within_s=_OPEN_WITHIN_S)
        ahead_s = due_ms / 1_000 - time()
        run.say(f"the replica serves all lanes {ahead_s:.1f} s before the first timer is due")
        setup = ExecutorSetup(replica.address, CAPABILITY, _EXECUTORS, _MAX_STEPS, completing=False, wait_ms=1_000)
        async with hired("executor", setup) as executor:
            within_s = max(0.0, ahead_s) + plan.span_s + _SLACK_S
            before_s = cpu_s_of(replica.pid)
            found = await executor.ask(Execute(plan.timers, within_s), Executed, within_s=within_s + _SLACK_S)
            cpu_s = cpu_s_of(replica.pid) - before_s
        tally.executed(found)
        resident_bytes, peak_bytes = resident_bytes_of(replica.pid)
        unexpected = round((await replica.counts()).unexpected)
    lags = spread(found.lag_ns)
    figures: dict[str, Any] = {
        "lag": to_builtins(lags),
        "claims": to_builtins(spread(found.claim_ns)),
        "served_before_first_due_s": round(ahead_s, 1),
        "fired_early": sum(lag < 0 for lag in found.lag_ns),
        "scheduler_cpu_us_per_timer": round(cpu_s * 1e6 / plan.timers, 1),
        "resident_mb": round(resident_bytes / 1e6, 1),
        "resident_peak_mb": round(peak_bytes / 1e6, 1),
    }
    p99_s = None if lags is None else lags.p99_ms / 1_000
    return Outcome(
        figures=figures,
        targets=[at_most("from due to claimed, p99", p99_s, LAG_P99_S, "s")],
        wrong={**tally.wrong(), "fired_early": figures["fired_early"], "unexpected_errors": unexpected},
        settings={**to_builtins(plan), "executors": _EXECUTORS, "max": _MAX_STEPS},
    )


TIMERS = Scenario("timers", "How late do timers fire when a hundred thousand are due within a minute?", run)
