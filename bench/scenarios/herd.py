"""Many claimers on one backlog: with lanes that have an owner, and without.

Ours: so many replicas share the lanes, and a claimer process at each claims batches. Beside them, in turn and on the
same server with as many waiting documents: claimers that search and update, and a re-creation of Kibana's mget claimer,
once with its pause of 500 ms, once without any and with whichever capacity claims most.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from msgspec import Struct, to_builtins

from ..ground import bare_lane
from ..load import hired
from ..load.documents import CAPABILITY, WORKFLOW
from ..load.orders import Seed, Seeded, SeederSetup
from ..load.peers import Kind
from ..report import Outcome as Report
from ..report import Target, at_least, no_more_than
from ..scenario import Run, Scenario
from . import herd_peers as peers
from .herd_ours import Drain, drained

TIMES_KIBANA = 10.0
# Kibana's published figure is 20 tasks/s a node; another one means that the re-creation is none.
KIBANA_PER_S = (15.0, 25.0)


class Plan(Struct, frozen=True):
    """How much is measured. `documents` wait at the beginning of every measurement; `sweep_s` is each capacity's time.

    Ours is drained `rounds` times for each number of replicas: before its peers, after them, and so on.
    """

    replicas: tuple[int, ...]
    documents: int
    capacities: tuple[int, ...]
    sweep_s: float
    throttled_s: float
    warm_up_s: float
    warm_up_documents: int
    rounds: int
    search_batch: int = 100


FULL = Plan((1, 2, 4, 8), 50_000, (10, 50, 100, 250, 500, 1_000, 2_000), 5.0, 8.0, 15.0, 200_000, 2)
QUICK = Plan((1, 4), 20_000, (1_000, 50, 250), 1.5, 2.0, 1.5, 20_000, 1)
SMOKE = Plan((2,), 2_000, (250,), 0.3, 0.6, 0.2, 1_000, 1)
# How long one number of replicas takes in a quick run at least; without that much time, fewer capacities are tried.
_HERD_S = 14.0


class Herd(Struct, frozen=True):
    """One number of replicas, or nodes."""

    replicas: int
    ours: list[Drain]
    search: peers.Outcome
    throttled: peers.Outcome
    unthrottled: list[peers.Outcome]

    @property
    def ours_per_s(self) -> float:
        return median(drain.claims_per_s for drain in self.ours)


async def run(run: Run) -> Report:
    """Every number of replicas in turn; for each, ours and its peers in turn."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    async with peers.task_index(run.cluster, plan.documents) as tasks:
        await _warm_up(run, plan, tasks)
        herds = [await _herd(run, plan, tasks, replicas) for replicas in plan.replicas]
        document_bytes = tasks.document_bytes
    figures: dict[str, Any] = {
        "by_replicas": [_row(herd) for herd in herds],
        "ours": [to_builtins(drain) for herd in herds for drain in herd.ours],
        "search_then_update": [to_builtins(herd.search) for herd in herds],
        "kibana_throttled": [to_builtins(herd.throttled) for herd in herds],
        "kibana_unthrottled": [to_builtins(outcome) for herd in herds for outcome in herd.unthrottled],
        "task_bytes": document_bytes,
    }
    return Report(figures, _targets(herds), _wrong(herds), to_builtins(plan))


async def _warm_up(run: Run, plan: Plan, tasks: peers.Tasks) -> None:
    """A new Elasticsearch compiles both ways meanwhile: full documents in bulks, and search, get and update."""
    run.say(f"warming up for about {2 * plan.warm_up_s:.0f} s")
    async with bare_lane(run.cluster, "warm-up") as index, hired("seeder", SeederSetup(run.cluster.address)) as seeder:
        order = Seed(index, "00", WORKFLOW, CAPABILITY, plan.warm_up_documents)
        await seeder.ask(order, Seeded, within_s=300.0)
    async with tasks.nodes(2) as nodes:
        await nodes.poll("mget", capacity=250, duration_s=plan.warm_up_s)


async def _herd(run: Run, plan: Plan, tasks: peers.Tasks, replicas: int) -> Herd:
    ours = [await _ours(run, plan, replicas)]
    async with tasks.nodes(replicas) as nodes:

        async def poll(kind: Kind, capacity: int, duration_s: float, interval_ms: int = 0) -> peers.Outcome:
            seed = run.options.seed
            found = await nodes.poll(kind, capacity=capacity, duration_s=duration_s, interval_ms=interval_ms, seed=seed)
            run.say(
                f"{replicas} x {kind}, {capacity} at a time, pause {interval_ms} ms: "
                f"{found.claims_per_s:,.0f} claims/s, {found.conflicts_per_claim:g} conflicts a claim"
            )
            return found

        search = await poll("search", plan.search_batch, plan.sweep_s)
        throttled = await poll("mget", peers.KIBANA_CAPACITY, plan.throttled_s, peers.KIBANA_INTERVAL_MS)
        unthrottled: list[peers.Outcome] = []
        for capacity in plan.capacities:
            if not unthrottled or run.has_time_for(_later_s(plan, replicas)):
                unthrottled.append(await poll("mget", capacity, plan.sweep_s))
        for _ in range(1, plan.rounds):
            ours.append(await _ours(run, plan, replicas))
            unthrottled.append(await poll("mget", peers.best(unthrottled).capacity, plan.sweep_s))
    return Herd(replicas, ours, search, throttled, unthrottled)


def _later_s(plan: Plan, replicas: int) -> float:
    """What is left to do after one more capacity, on a machine that is not busy."""
    return plan.sweep_s + sum(_HERD_S for later in plan.replicas if later > replicas)


async def _ours(run: Run, plan: Plan, replicas: int) -> Drain:
    found = await drained(run.cluster, replicas, plan.documents)
    run.say(f"{replicas} replicas: {found.claims_per_s:,.0f} claims/s, {found.conflicts} conflicts")
    return found


def _row(herd: Herd) -> dict[str, Any]:
    best = peers.best(herd.unthrottled)
    allowed = peers.allowed_by_kibana(herd.unthrottled)
    return {
        "replicas": herd.replicas,
        "ours_claims_per_s": herd.ours_per_s,
        "ours_conflicts": sum(drain.conflicts for drain in herd.ours),
        "search_claims_per_s": herd.search.claims_per_s,
        "search_conflicts_per_claim": herd.search.conflicts_per_claim,
        "kibana_throttled_per_s_a_node": _a_node(herd),
        "kibana_claims_per_s": best.claims_per_s,
        "kibana_capacity": best.capacity,
        "kibana_conflicts_per_claim": best.conflicts_per_claim,
        "kibana_claims_per_s_at_most_50": peers.best(allowed).claims_per_s if allowed else None,
        "ours_to_kibana": _times(herd, best),
        "ours_to_kibana_at_most_50": _times(herd, peers.best(allowed)) if allowed else None,
    }


def _times(herd: Herd, peer: peers.Outcome) -> float:
    return round(herd.ours_per_s / max(peer.claims_per_s, 1e-9), 2)


def _a_node(herd: Herd) -> float:
    return round(herd.throttled.claims_per_s / herd.replicas, 2)


def _targets(herds: list[Herd]) -> list[Target]:
    targets = []
    for herd in herds:
        row = _row(herd)
        of = f"{herd.replicas} replica{'s' if herd.replicas > 1 else ''}"
        targets += [
            no_more_than(f"conflicts in the steady state, {of}", row["ours_conflicts"], 0, "conflicts"),
            at_least(
                f"claims/s to those of Kibana's claimer unthrottled, {of}", row["ours_to_kibana"], TIMES_KIBANA, "times"
            ),
        ]
    least, most = KIBANA_PER_S
    return [
        *targets,
        at_least("Kibana's claimer as published, slowest", min(map(_a_node, herds)), least, "tasks/s a node"),
        no_more_than("Kibana's claimer as published, fastest", max(map(_a_node, herds)), most, "tasks/s a node"),
    ]


def _wrong(herds: list[Herd]) -> dict[str, int]:
    drains = [drain for herd in herds for drain in herd.ours]
    polls = [outcome for herd in herds for outcome in (herd.search, herd.throttled, *herd.unthrottled)]
    return {
        "lost": sum(drain.left for drain in drains),
        "doubled": sum(drain.doubled for drain in drains),
        "doubled_by_peers": sum(outcome.doubled for outcome in polls),
        "claim_failures": sum(drain.failures for drain in drains),
    }


HERD = Scenario(
    "herd",
    "How many claims a second do many claimers get from one backlog, with lanes that have an owner and without?",
    run,
)
