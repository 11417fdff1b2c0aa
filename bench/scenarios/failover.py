"""What workers notice of a replica's end: of one that is told to end, and of one that is killed.

Three replicas share lanes full of waiting instances. Each lane's steps ask for a capability of their own, so a worker
that waits for it through any replica's address sees when that very lane stands still. Workers wait through the
addresses of the two replicas that stay.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from time import monotonic, monotonic_ns
from typing import Any

from msgspec import Struct, to_builtins

from ..ground import Cluster, Scheduler
from ..ground.backlog import Work, filled_lanes
from ..ground.fleet import Fleet, running_fleet
from ..load import Hand, hired
from ..load.orders import Finish
from ..load.watch import Observed, Sighting, WatcherSetup
from ..report import Outcome, Target, at_most, no_more_than
from ..scenario import Run, Scenario
from .failover_figures import LaneGap, lane_gap, run_again

REPLICAS = 3
TERM_BAR_S = 1.0
KILL_BAR_ABOVE_LEASE_S = 2.0

_WITHIN_S = 120.0
_LOOK_AGAIN_S = 0.25
_FINAL = ["succeeded", "failed", "cancelled", "terminated"]


class Plan(Struct, frozen=True):
    """`documents` wait in all lanes together. Workers run for `before_s` before a replica ends, and for
    `after_term_s`, or the lease time and `after_lease_s`, from then on."""

    documents: int
    lease_ms: int
    renew_every_ms: int
    before_s: float
    after_term_s: float
    after_lease_s: float
    rounds: int
    aftermath_s: float

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LEASEHOLD_LANES_LEASE_MS": str(self.lease_ms),
            "LEASEHOLD_LANES_RENEW_EVERY_MS": str(self.renew_every_ms),
        }


FULL = Plan(1_000_000, 10_000, 2_500, 5.0, 10.0, 10.0, 3, 60.0)
QUICK = Plan(20_000, 3_000, 1_000, 1.5, 3.0, 3.0, 1, 8.0)
SMOKE = Plan(4_000, 3_000, 1_000, 0.5, 1.5, 1.0, 1, 8.0)


class Trial(Struct, frozen=True):
    """The end of one replica. `lanes_moved` were its own."""

    how: str
    gap_ms: float
    before_ms: float
    lanes_moved: int
    claims: int
    unanswered: int
    completions_repeated: int
    lanes: list[LaneGap]


async def run(run: Run) -> Outcome:
    """SIGTERM, then SIGKILL, and again; a new replica takes the place of each that ended."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    work = await filled_lanes(
        run.cluster, plan.documents, work_of=lambda lane: Work(f"bench-lane-{lane}", f"bench-{lane}")
    )
    run.say(f"{plan.documents} instances wait in {len(work)} lanes")
    trials: list[Trial] = []
    sightings: list[Sighting] = []
    async with running_fleet(run.cluster, REPLICAS, environment=plan.environment) as fleet:
        for how in [signal.SIGTERM, signal.SIGKILL] * plan.rounds:
            trial, seen = await _trial(run, plan, fleet, work, how)
            trials.append(trial)
            sightings += seen
            run.say(f"{trial.how}: longest gap {trial.gap_ms:.0f} ms, {trial.claims} claims")
        wrong = await _wrong(run.cluster, plan, sightings)
    claimed = [sighting.number for sighting in sightings]
    figures: dict[str, Any] = {
        "trials": [{name: value for name, value in to_builtins(trial).items() if name != "lanes"} for trial in trials],
        "lanes": [
            {"trial": number, "how": trial.how, **to_builtins(lane)}
            for number, trial in enumerate(trials, 1)
            for lane in trial.lanes
        ],
        "claims": len(claimed),
        "steps_claimed_again": len(claimed) - len(set(claimed)),
        "completions_acknowledged": sum(sighting.completion == 200 for sighting in sightings),
        "completions_refused": sum(sighting.completion not in (0, 200) for sighting in sightings),
        "completions_unanswered": sum(sighting.completion == 0 for sighting in sightings),
    }
    return Outcome(figures, _targets(plan, trials, wrong), wrong, {**to_builtins(plan), "replicas": REPLICAS})


async def _trial(
    run: Run, plan: Plan, fleet: Fleet, work: dict[str, Work], how: signal.Signals
) -> tuple[Trial, list[Sighting]]:
    """End the replica with the most lanes while workers wait through the others, and start another one afterwards."""
    if len(fleet.running) < REPLICAS:
        await fleet.start(REPLICAS - len(fleet.running))
    owners = await fleet.settled()
    victim = max(fleet.running, key=lambda replica: sum(owner is replica for owner in owners.values()))
    after_s = plan.after_term_s if how is signal.SIGTERM else plan.lease_ms / 1_000 + plan.after_lease_s
    lanes = sorted(work)
    async with AsyncExitStack() as stack:
        setups = [
            WatcherSetup(replica.address, [work[lane].capability for lane in lanes])
            for replica in fleet.running
            if replica is not victim
        ]
        hands = await asyncio.gather(*(stack.enter_async_context(hired("watcher", setup)) for setup in setups))
        begin_ns = monotonic_ns()
        await asyncio.sleep(plan.before_s)
        signal_ns = monotonic_ns()
        fleet.end(victim, how)
        await asyncio.sleep(after_s)
        end_ns = monotonic_ns()
        observed = await _finish(hands)
    seen = [sighting for each in observed for sighting in each.sightings]
    gaps = [
        lane_gap(
            lane,
            [sighting.arrived_ns for sighting in seen if sighting.capability == place],
            begin_ns=begin_ns,
            signal_ns=signal_ns,
            end_ns=end_ns,
            moved=owners[lane] is victim,
        )
        for place, lane in enumerate(lanes)
    ]
    return _summary(how, victim, owners, gaps, observed), seen


def _summary(
    how: signal.Signals,
    victim: Scheduler,
    owners: dict[str, Scheduler],
    gaps: list[LaneGap],
    observed: list[Observed],
) -> Trial:
    return Trial(
        how=how.name,
        gap_ms=max(gap.gap_ms for gap in gaps),
        before_ms=max(gap.before_ms for gap in gaps),
        lanes_moved=sum(owner is victim for owner in owners.values()),
        claims=sum(gap.claims for gap in gaps),
        unanswered=sum(each.unanswered for each in observed),
        completions_repeated=sum(each.repeated for each in observed),
        lanes=gaps,
    )


async def _finish(hands: list[Hand]) -> list[Observed]:
    return list(await asyncio.gather(*(hand.ask(Finish(), Observed, within_s=_WITHIN_S) for hand in hands)))


async def _wrong(cluster: Cluster, plan: Plan, sightings: list[Sighting]) -> dict[str, int]:
    """Every instance is in a lane or in history; every acknowledged completion is history, or on its way there."""
    acknowledged = {sighting.number for sighting in sightings if sighting.completion == 200}
    until_s = monotonic() + plan.aftermath_s
    while True:
        finished = await cluster.count(f"{cluster.prefix}-lane-*", {"terms": {"status": _FINAL}})
        if finished == 0 or monotonic() > until_s:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
    live = await cluster.count(f"{cluster.prefix}-lane-*", {"term": {"kind": "instance"}}) - finished
    recorded = await cluster.count(f"{cluster.prefix}-instances", {"match_all": {}})
    return {
        "lost": max(0, plan.documents - live - max(recorded, finished)),
        "completions_lost": max(0, len(acknowledged) - max(recorded, finished)),
        "run_again_after_completion": run_again(sightings),
        "finished_left_in_lanes": finished,
    }


def _targets(plan: Plan, trials: list[Trial], wrong: dict[str, int]) -> list[Target]:
    def longest_s(how: str) -> float:
        return max(trial.gap_ms for trial in trials if trial.how == how) / 1_000

    kill_bar_s = plan.lease_ms / 1_000 + KILL_BAR_ABOVE_LEASE_S
    return [
        at_most("longest gap in a lane's claims, SIGTERM", longest_s("SIGTERM"), TERM_BAR_S, "s"),
        at_most("longest gap in a lane's claims, SIGKILL", longest_s("SIGKILL"), kill_bar_s, "s"),
        no_more_than("lost", wrong["lost"] + wrong["completions_lost"], 0, "instances"),
        no_more_than("run again after completion", wrong["run_again_after_completion"], 0, "steps"),
    ]


FAILOVER = Scenario(
    "failover",
    "For how long does a lane's work stand still when its replica is told to end, and when it is killed?",
    run,
)
