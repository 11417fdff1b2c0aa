"""What a claim is expected to cost: the executor time of the step's attempts so far, as a moving average. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

FairBy = Literal["executor_time", "claims"]

# What an attempt is taken to cost of which nothing is known, and how long it is taken to last at least: a tenant's
# claims count for something, however short they are.
UNKNOWN_MS = 1_000.0
_LEAST_MS = 1.0
# The weight of the newest attempt in the average: the last ten or so count.
_NEWEST = 0.2
_STEPS_MAX = 20_000

Step = tuple[str, str]


class Costs:
    """One replica's estimates by step: `(workflow, step name)`, all tenants' together. Milliseconds, or claims.

    Bounded: the steps that ended longest ago are forgotten.
    """

    def __init__(self, fair_by: FairBy) -> None:
        self.by_time = fair_by == "executor_time"
        self._averages: OrderedDict[Step, float] = OrderedDict()

    @property
    def debt_max(self) -> float:
        """How far charges may put a tenant of weight 1 behind: a minute of executor time, or so many claims."""
        return 60_000.0 if self.by_time else 1_000.0

    def of(self, step: Step) -> float:
        """What a claim of the step is charged."""
        return self._averages.get(step, UNKNOWN_MS) if self.by_time else 1.0

    def learn(self, step: Step, took_ms: float) -> None:
        """An attempt of the step has ended after that time."""
        took_ms = max(_LEAST_MS, took_ms)
        averages = self._averages
        known = averages.get(step)
        averages[step] = took_ms if known is None else known + _NEWEST * (took_ms - known)
        averages.move_to_end(step)
        if len(averages) > _STEPS_MAX:
            averages.popitem(last=False)
