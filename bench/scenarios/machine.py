"""What the pure machine costs, by itself: an event, whatever came before it, and an item of a foreach."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, to_builtins

from ...core.replay import replay
from ..pure import Workload, chain, cost_us, fan_out, foreach_bytes, foreach_cost_us, loop, retried
from ..report import Outcome, at_least, no_more_than
from ..scenario import Run, Scenario

EVENTS_PER_S = 50_000
GROWTH = 1.25
PER_ITEM = 3.0


class Plan(Struct, frozen=True):
    """`events` are applied in each of `rounds`, the best of which counts; long and short runs, many and few items."""

    events: int
    rounds: int
    iterations: tuple[int, int] = (10, 1_000)
    attempts: tuple[int, int] = (3, 100)
    items: tuple[int, int] = (10, 10_000)


FULL = Plan(20_000, 9)
QUICK = Plan(10_000, 5)
SMOKE = Plan(500, 1, iterations=(5, 50), items=(10, 200))


async def run(run: Run) -> Outcome:
    """Record runs, then apply their events again."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    differing = 0

    def cost(workload: Workload) -> float:
        nonlocal differing
        differing += not replay(workload.recording, workload.plan).same
        return cost_us(workload, events=plan.events, rounds=plan.rounds)

    run.say("a chain of ten steps")
    event_us = cost(chain())
    run.say(f"a loop of {plan.iterations[0]} and of {plan.iterations[1]:,} iterations")
    in_loop = [cost(loop(count)) for count in plan.iterations]
    run.say(f"a step with {plan.attempts[0]} and with {plan.attempts[1]} attempts, each with heartbeats")
    in_retries = [cost(retried(count)) for count in plan.attempts]
    run.say(f"a foreach over {plan.items[0]} and over {plan.items[1]:,} items")
    item_us, item_bytes = [], []
    for count in plan.items:
        workload = fan_out(count)
        differing += not replay(workload.recording, workload.plan).same
        item_us.append(foreach_cost_us(workload, items=count, events=plan.events, rounds=max(1, plan.rounds // 3)))
        item_bytes.append(foreach_bytes(workload) / count)
    figures: dict[str, Any] = {
        "events_per_s": round(1e6 / event_us),
        "event_us": round(event_us, 2),
        "event_in_loop_us": [round(us, 2) for us in in_loop],
        "event_with_retries_us": [round(us, 2) for us in in_retries],
        "item_us": [round(us, 1) for us in item_us],
        "item_bytes": [round(count) for count in item_bytes],
    }
    return Outcome(
        figures=figures,
        targets=[
            at_least("events of a ten-step instance, one core", round(1e6 / event_us), EVENTS_PER_S, "/s"),
            no_more_than("an event after 1,000 iterations, against 10", _ratio(in_loop), GROWTH, "times"),
            no_more_than("an event after 100 attempts, against 3", _ratio(in_retries), GROWTH, "times"),
            no_more_than("an item of 10,000, against one of 10: time", _ratio(item_us), PER_ITEM, "times"),
            no_more_than("an item of 10,000, against one of 10: bytes", _ratio(item_bytes), PER_ITEM, "times"),
        ],
        wrong={"differing_states": differing},
        settings=to_builtins(plan),
    )


def _ratio(few_and_many: list[float]) -> float:
    few, many = few_and_many
    return round(many / few, 2)


MACHINE = Scenario(
    "machine", "What does the machine cost for an event, and does it matter what came before?", run, alone=True
)
