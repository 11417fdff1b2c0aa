"""What a scenario is, and what it is given to run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import TypeVar

from msgspec import Struct

from ..core.settings import Settings
from .ground import Cluster
from .report import Outcome

P = TypeVar("P")


class Options(Struct, frozen=True):
    """What the command line asks for. `rates`, in starts per second, is empty unless given: a scenario has its own.

    `smoke` is smaller than `quick`: it looks for what is wrong, and measures nothing.
    """

    quick: bool = False
    smoke: bool = False
    seed: int = 1
    rates: tuple[float, ...] = ()

    def choose(self, full: P, quick: P, smoke: P) -> P:
        """The plan of the size that is asked for."""
        return smoke if self.smoke else quick if self.quick else full


class Run(Struct, frozen=True):
    """One run of a scenario: its options, the cluster, the replica's settings, and where to tell of progress.

    `ground` is None for a scenario that runs alone. `until_s`, on the monotonic clock, is when a quick run is to be
    done: what can be left out is left out by then.
    """

    options: Options
    ground: Cluster | None
    settings: Settings
    say: Callable[[str], None]
    until_s: float = inf

    @property
    def cluster(self) -> Cluster:
        """The cluster that the scenario runs on."""
        assert self.ground is not None, "a scenario that runs alone has no cluster"
        return self.ground

    def has_time_for(self, duration_s: float) -> bool:
        """Whether something that takes so long still fits."""
        return monotonic() + duration_s <= self.until_s


class Scenario(Struct, frozen=True):
    """`question` is what the figures answer, in one sentence. `alone`: it needs no cluster."""

    name: str
    question: str
    run: Callable[[Run], Awaitable[Outcome]]
    alone: bool = False


def sayer(write: Callable[[str], None]) -> Callable[[str], None]:
    """Progress lines with the seconds since now."""
    began_s = monotonic()
    return lambda sentence: write(f"{monotonic() - began_s:6.1f} s  {sentence}")
