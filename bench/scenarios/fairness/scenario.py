"""Whether tenants get their shares, whatever the others do.

Three parts: a standing backlog of a hundred tenants over three replicas (`standing`), one tenant's starts beside
another one's huge backlog (`neighbour`), and what deciding costs with ten thousand tenants (`bench.pure.deciding`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec import to_builtins

from ...ground.installations import installation
from ...pure import Decisions, decisions
from ...report import Outcome, Target, at_least, at_most, no_more_than
from ...scenario import Run, Scenario
from . import neighbour, standing
from .neighbour import OWN
from .plan import FULL, LANES, QUICK, SMOKE, DecisionPlan
from .standing_figures import LEAST_CLAIMS, Standing

SHARE_ERROR = 0.05
NEIGHBOUR_RATIO = 1.2
FOLLOWED_MS = 2_000.0
DECISION_US = 10.0

# What is judged are claims, so claims are what is shared out.
_ENVIRONMENT = {"shares": {"LEASEHOLD_TENANCY_FAIR_BY": "claims"}, "shares_by_time": {}}
# What the standing backlog takes of a quick run beyond its measured time: filling, three replicas, the way out.
_AROUND_S = 12.0


async def run(run: Run) -> Outcome:
    """The neighbour first, as long as nothing else was written; deciding last."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    beside = await neighbour.measured(run, plan.neighbour, plan.shares.run_s + _AROUND_S)
    shares = {}
    for name in ("shares", "shares_by_time") if plan.by_time else ("shares",):
        async with installation(run.cluster, name.replace("_", "-")) as cluster:
            shares[name] = await standing.measured(run, plan.shares, cluster, _ENVIRONMENT[name])
    deciding = _deciding(run, plan.decision)
    figures: dict[str, Any] = {
        **{name: found.figures for name, found in shares.items()},
        "neighbour": beside.figures,
        "decision": [{"lanes": lanes, **to_builtins(found)} for lanes, found in deciding.items()],
    }
    wrong: Counter[str] = Counter()
    for counts in (beside.wrong, *(found.wrong for found in shares.values())):
        wrong.update(counts)
    settings = {**to_builtins(plan), "lanes": LANES}
    return Outcome(figures, _targets(shares, beside, deciding), dict(wrong), settings)


def _deciding(run: Run, plan: DecisionPlan) -> dict[int, Decisions]:
    run.say(f"deciding between {plan.tenants:,} tenants")
    return {
        lanes: decisions(tenants=plan.tenants, each=plan.each, lanes=lanes, taken=plan.taken, rounds=plan.rounds)
        for lanes in plan.lanes
    }


def _targets(
    shares: dict[str, standing.Found], beside: neighbour.Found, deciding: dict[int, Decisions]
) -> list[Target]:
    own = next((variant.p99_ratio for variant in beside.variants if variant.executors == OWN), None)
    lanes, most = max(deciding.items())
    deciding_with = f"a decision with {lanes} lanes"
    return [
        *(target for name, found in shares.items() for target in _shares_targets(name, found.standing)),
        at_most("p99 of start to claim beside a large tenant, to that alone", own, NEIGHBOUR_RATIO, "times"),
        at_most(f"{deciding_with}, a step taken and one added", most.push_and_pop_us, DECISION_US, "us"),
        at_most(f"{deciding_with}, half of the tenants held back", most.half_blocked_us, DECISION_US, "us"),
    ]


def _shares_targets(name: str, found: Standing) -> list[Target]:
    exceeded = sum(each.exceeded for each in found.limits)
    return [
        no_more_than(f"{name}: largest error in a window", found.max_error, SHARE_ERROR, "of its share"),
        no_more_than(f"{name}: mean error", found.mean_error, SHARE_ERROR, "of their shares"),
        at_least(f"{name}: claims of the smallest tenant in a window", found.fewest_claims, LEAST_CLAIMS, "claims"),
        no_more_than(f"{name}: backlogs that ran out in a lane", len(found.dry), 0, "tenants"),
        at_most(f"{name}: until dispatch follows a new weight", found.weight_followed_ms, FOLLOWED_MS, "ms"),
        at_most(f"{name}: until dispatch follows max_running_steps 0", found.stop_followed_ms, FOLLOWED_MS, "ms"),
        no_more_than(f"{name}: running limits exceeded", exceeded, 0, "steps"),
    ]


FAIRNESS = Scenario(
    "fairness",
    "Do tenants get their weights' shares of claims, and does a large one's backlog slow another one down?",
    run,
)
