"""How large each part of the scenario is."""

from __future__ import annotations

from msgspec import Struct


class SearchPlan(Struct, frozen=True):
    """Each of `rounds` walks through `pages` pages of `size` for every kind of search."""

    rounds: int
    pages: int
    size: int = 50


class AgeingPlan(Struct, frozen=True):
    """Pairs of spans of `load_s`, one calm and one in which history ages every `every_s`."""

    pairs: int
    load_s: float
    every_s: float


class Plan(Struct, frozen=True):
    """`instances` finished ones of the last `days`, in so many `generations` of concrete indices.

    The peak is the best of `peak_rounds` with so many instances each; steady load is half of it. Of the instances
    whose rows are awaited one in `confirm_every` is looked for, during `confirm_s`. Before anything is measured the
    replica gets `usage_s` to count what was seeded, which it does once and in the background.
    """

    instances: int
    generations: int
    search: SearchPlan
    ageing: AgeingPlan
    confirm_s: float
    confirm_every: int
    peak_instances: int
    peak_rounds: int
    warm_up_s: float
    usage_s: float
    days: int = 30


FULL = Plan(
    1_000_000,
    10,
    SearchPlan(rounds=40, pages=5),
    AgeingPlan(pairs=4, load_s=25.0, every_s=10.0),
    confirm_s=45.0,
    confirm_every=10,
    peak_instances=10_000,
    peak_rounds=4,
    warm_up_s=15.0,
    usage_s=120.0,
)
QUICK = Plan(
    50_000,
    5,
    SearchPlan(rounds=6, pages=3),
    AgeingPlan(pairs=2, load_s=4.0, every_s=2.0),
    confirm_s=4.0,
    confirm_every=5,
    peak_instances=1_500,
    peak_rounds=2,
    warm_up_s=2.0,
    usage_s=15.0,
)
SMOKE = Plan(
    1_200,
    3,
    SearchPlan(rounds=1, pages=3),
    AgeingPlan(pairs=1, load_s=1.5, every_s=1.0),
    confirm_s=1.5,
    confirm_every=1,
    peak_instances=150,
    peak_rounds=1,
    warm_up_s=0.0,
    usage_s=0.0,
)
