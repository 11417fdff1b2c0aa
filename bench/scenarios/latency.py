"""From a start being due to its step arriving at a waiting worker, at a steady rate.

One replica, started as users start it; starts and claims come from processes of their own over HTTP. Load and floors
alternate in rounds, so that both meet the same state of the machine: the *commit floor* is one document written by CAS
with a fence behind it, in one bulk, which is the least that a durable start can cost on this cluster at this rate; the
*HTTP floor* is a bare request to the replica. What is left between them and the start-to-claim time is the engine's.

Unless told otherwise it goes up to half of the peak, which is measured first: as many instances as go all the way by
single requests (`end_to_end`'s kind of that name).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from math import ceil
from time import monotonic, monotonic_ns

from msgspec import Struct, structs, to_builtins

from ..ground import Cluster, Scheduler, bare_lane, running_scheduler, wrong_aftermath
from ..load import Hand, hired, latencies_from_due, spread
from ..load.documents import CAPABILITY, ONE_STEP, STEP, WORKFLOW, one_step
from ..load.orders import (
    ClaimerSetup,
    Claims,
    CommitProbeSetup,
    Finish,
    Fire,
    GetProbeSetup,
    Probe,
    Probes,
    Start,
    StarterSetup,
    Starts,
)
from ..report import Outcome
from ..scenario import Run, Scenario
from .end_to_end import SINGLE, measured
from .latency_figures import Round, figures_of, targets_of, wrong_claims
from .tally import Tally

# Half of the peak comes behind them.
RATES_PER_S = (20.0, 200.0)
QUICK_RATES_PER_S = (20.0,)
PEAK_WORKFLOW = "bench-peak"

_MOST_CONNECTIONS = 64
_LEAD_IN_NS = 100_000_000
_SETTLE_S = 0.7
_DRAIN_S = 15.0
_LOOK_AGAIN_S = 0.25
_SLACK_S = 60.0
# The last claims, the counts in Elasticsearch, the end of all processes.
_WAY_OUT_S = 6.0


class _Plan(Struct, frozen=True):
    """How long each part lasts. The warm-up is not measured: a new Elasticsearch compiles its code meanwhile.

    The peak is the best of `peak_rounds`, with so many instances each.
    """

    rounds: int
    load_s: float
    floor_s: float
    warm_up_s: float
    peak_instances: int
    peak_rounds: int
    warm_up_per_s: float = 200.0


_FULL = _Plan(6, 15.0, 5.0, 20.0, 10_000, 4)
_QUICK = _Plan(3, 4.0, 1.5, 4.0, 1_500, 2)
_SMOKE = _Plan(1, 1.5, 0.5, 0.0, 150, 1)
# The warm-up comes in slices, so that a server that can't keep up with it lasts no longer than it should.
_WARM_UP_LOAD_S = 1.0
_WARM_UP_FLOOR_S = 0.3


class _Crew(Struct, frozen=True):
    """The load processes of one run."""

    starter: Hand
    claimer: Hand
    commit_probe: Hand
    get_probe: Hand


async def run(run: Run) -> Outcome:
    """All rates in turn, on one replica."""
    plan = run.options.choose(_FULL, _QUICK, _SMOKE)
    peaks = Tally((STEP,))
    async with running_scheduler(run.cluster) as replica, bare_lane(run.cluster, "floor") as index:
        await replica.put_definition(WORKFLOW, ONE_STEP)
        peak = 0.0 if run.options.rates else await _peak(run, plan, replica, peaks)
        rates = run.options.rates or _rates(run, peak)
        connections = min(_MOST_CONNECTIONS, max(8, ceil(max(*rates, plan.warm_up_per_s) / 10)))
        async with _crew(run.cluster, replica, index, connections) as crew:
            rounds, warm_up = await _rounds(run, plan, rates, replica, crew, connections)
            run.say("waiting for the last claims")
            claims = await crew.claimer.ask(Finish(), Claims, within_s=_SLACK_S)
            until_ns = monotonic_ns()
        every_start = [*warm_up, *(start for each in rounds for start in each.starts)]
        wrong = await _wrong(run.cluster, replica, every_start, claims, peaks)
    by_rate = [
        figures_of(rate, [each for each in rounds if each.rate_per_s == rate], claims.claims, until_ns)
        for rate in rates
    ]
    return Outcome(
        figures={"peak_per_s": peak, "rates": to_builtins(by_rate), "claim_failures": claims.failures},
        targets=[target for figures in by_rate for target in targets_of(figures, half_of_peak=peak / 2)],
        wrong=wrong,
        settings={**to_builtins(plan), "rates": list(rates), "connections": connections},
    )


async def _peak(run: Run, plan: _Plan, replica: Scheduler, tally: Tally) -> float:
    """How many instances a second go all the way by single requests, as fast as they are answered."""
    await replica.put_definition(PEAK_WORKFLOW, one_step(PEAK_WORKFLOW, PEAK_WORKFLOW))
    kind = structs.replace(SINGLE, name="peak", workflow=PEAK_WORKFLOW, capability=PEAK_WORKFLOW)
    speeds = [(await measured(run, replica, kind, plan.peak_instances, tally)).per_s for _ in range(plan.peak_rounds)]
    return max(speeds)


def _rates(run: Run, peak: float) -> tuple[float, ...]:
    return (*run.options.choose(RATES_PER_S, QUICK_RATES_PER_S, QUICK_RATES_PER_S), peak / 2)


@asynccontextmanager
async def _crew(cluster: Cluster, replica: Scheduler, index: str, connections: int) -> AsyncIterator[_Crew]:
    async with (
        hired("starter", StarterSetup(replica.address, WORKFLOW, connections)) as starter,
        hired("claimer", ClaimerSetup(replica.address, CAPABILITY, connections)) as claimer,
        hired("commit-probe", CommitProbeSetup(cluster.address, index, connections)) as commit_probe,
        hired("get-probe", GetProbeSetup(replica.address, "/healthz", connections)) as get_probe,
    ):
        yield _Crew(starter, claimer, commit_probe, get_probe)


async def _rounds(
    run: Run, plan: _Plan, rates: tuple[float, ...], replica: Scheduler, crew: _Crew, connections: int
) -> tuple[list[Round], list[Start]]:
    """Every round, and the starts of the warm-up, which count for correctness only."""
    numbers = count()
    seed = str(run.options.seed)
    run.say(f"warming up for {plan.warm_up_s:.0f} s")
    warm_up: list[Start] = []
    warm_at_s = monotonic() + plan.warm_up_s
    round_s = plan.load_s + _SETTLE_S + plan.floor_s
    while monotonic() < warm_at_s and run.has_time_for(round_s + _WAY_OUT_S):
        warm_up += await _start(crew, plan.warm_up_per_s, _WARM_UP_LOAD_S, f"{seed}-warm-up", numbers)
        await _probe(crew, plan.warm_up_per_s, _WARM_UP_FLOOR_S, f"{seed}-warm-up")
    await _until_idle(run, replica, connections)
    rounds = []
    for number in range(1, plan.rounds + 1):
        for rate in rates:
            if number > 1 and not run.has_time_for(round_s + _WAY_OUT_S):
                continue
            before = await replica.counts()
            starts = await _start(crew, rate, plan.load_s, f"{seed}-{rate}-{number}", numbers)
            await asyncio.sleep(_SETTLE_S)
            after = await replica.counts()
            commits, gets = await _probe(crew, rate, plan.floor_s, f"{seed}-{rate}-{number}")
            rounds.append(Round(rate, starts, commits, gets, (before, after)))
            acknowledged = spread(latencies_from_due((start.timed for start in starts), monotonic_ns()))
            assert acknowledged is not None
            run.say(
                f"{rate:g}/s, round {number} of {plan.rounds}: starts acknowledged in {acknowledged.p50_ms} ms (p50)"
            )
    return rounds, warm_up


async def _until_idle(run: Run, replica: Scheduler, connections: int) -> None:
    """Wait until nothing of the warm-up is left to do: all claims wait, history has it all, finished documents go."""
    idle_by_s = monotonic() + _DRAIN_S
    while monotonic() < idle_by_s:
        counts = await replica.counts()
        if counts.claims_waiting >= connections and not counts.history_lag:
            await asyncio.sleep(_SETTLE_S)
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
    run.say(f"the replica is still busy with the warm-up after {_DRAIN_S:.0f} s")


async def _start(crew: _Crew, rate: float, duration_s: float, seed: str, numbers: count[int]) -> list[Start]:
    order = Fire(monotonic_ns() + _LEAD_IN_NS, rate, duration_s, seed, next(numbers) * 1_000_000)
    return (await crew.starter.ask(order, Starts, within_s=duration_s + _SLACK_S)).starts


async def _probe(crew: _Crew, rate: float, duration_s: float, seed: str) -> tuple[list[Probe], list[Probe]]:
    """Both floors at once: they touch different servers, and one rarely waits for the other."""
    begin_ns = monotonic_ns() + _LEAD_IN_NS
    commits, gets = await asyncio.gather(
        crew.commit_probe.ask(Fire(begin_ns, rate, duration_s, f"{seed}-commit"), Probes, within_s=_SLACK_S),
        crew.get_probe.ask(Fire(begin_ns, rate, duration_s, f"{seed}-get"), Probes, within_s=_SLACK_S),
    )
    return commits.probes, gets.probes


async def _wrong(
    cluster: Cluster, replica: Scheduler, starts: list[Start], claims: Claims, peaks: Tally
) -> dict[str, int]:
    """What must not happen, counted over the whole run. Waits for history to be delivered and lanes to empty.

    A start that was not answered may have run or not, so history is told by what was claimed.
    """
    claimed = len({claim.number for claim in claims.claims}) + peaks.claimed()
    found = wrong_claims(starts, claims.claims)
    for name, number in peaks.wrong().items():
        found[name] = found.get(name, 0) + number
    aftermath = await wrong_aftermath(cluster, replica, instances=claimed, steps=claimed, within_s=_DRAIN_S)
    return {**found, **aftermath}


LATENCY = Scenario(
    "latency", "How long after a start is due does its step arrive at a waiting worker, at a steady rate?", run
)
