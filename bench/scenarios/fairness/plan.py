"""How large each part of the scenario is."""

from __future__ import annotations

from msgspec import Struct

# As many for each of three replicas, so that none is drained before the others.
LANES = 6


class SharesPlan(Struct, frozen=True):
    """`waiting` instances of `tenants` tenants and a few limited ones; rules change after `change_s`.

    For each replica `connections` executors claim up to `max_steps` at a time, and complete them `executor_ms` later,
    long beside what completions themselves take: that counts as executor time, too, and is not the same for all.
    Windows begin after the first one, and `settle_s` after the change.
    """

    waiting: int
    run_s: float
    change_s: float
    tenants: int = 100
    connections: int = 20
    max_steps: int = 25
    executor_ms: int = 400
    window_s: int = 10
    settle_s: float = 6.0
    replicas: int = 3


class NeighbourPlan(Struct, frozen=True):
    """One tenant has `waiting` instances, in one of two installations; another one starts `rate_per_s` in each in turn.

    Each of `pairs` has `load_s` on either side. `shared_pairs` are those with executors that serve both tenants.
    """

    waiting: int
    load_s: float
    pairs: int
    shared_pairs: int
    warm_up_s: float
    rate_per_s: float = 20.0
    connections: int = 8
    replicas: int = 3


class DecisionPlan(Struct, frozen=True):
    """`tenants` have `each` entries; in each of `rounds` so many are `taken`."""

    tenants: int = 10_000
    each: int = 8
    taken: int = 20_000
    rounds: int = 3
    lanes: tuple[int, ...] = (1, 2, 4)


class Plan(Struct, frozen=True):
    """`by_time`: shares are measured again with replicas whose tenants share executor time, as by default."""

    shares: SharesPlan
    neighbour: NeighbourPlan
    decision: DecisionPlan
    by_time: bool = False


FULL = Plan(
    SharesPlan(500_000, run_s=70.0, change_s=32.0, max_steps=40),
    NeighbourPlan(1_000_000, load_s=20.0, pairs=6, shared_pairs=3, warm_up_s=20.0),
    DecisionPlan(),
    by_time=True,
)
QUICK = Plan(
    SharesPlan(100_000, run_s=22.0, change_s=3.0),
    NeighbourPlan(100_000, load_s=4.0, pairs=2, shared_pairs=1, warm_up_s=1.0),
    DecisionPlan(taken=10_000, rounds=1, lanes=(2,)),
)
SMOKE = Plan(
    SharesPlan(
        4_000, run_s=3.0, change_s=0.8, window_s=1, settle_s=1.0, connections=2, executor_ms=100, tenants=20, replicas=2
    ),
    NeighbourPlan(2_000, load_s=0.8, pairs=1, shared_pairs=1, warm_up_s=0.0, connections=4, replicas=1),
    DecisionPlan(tenants=200, each=2, taken=100, rounds=1, lanes=(2,)),
)
