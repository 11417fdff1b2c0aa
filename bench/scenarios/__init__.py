"""One scenario a module, each with its question; `SCENARIOS` lists them by name."""

from ..scenario import Scenario
from .backlog import BACKLOG
from .claims import CLAIMS
from .end_to_end import END_TO_END
from .failover import FAILOVER
from .fairness import FAIRNESS
from .herd import HERD
from .history import HISTORY
from .idle import IDLE
from .latency import LATENCY
from .machine import MACHINE
from .raw import RAW
from .timers import TIMERS

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        MACHINE,
        RAW,
        CLAIMS,
        END_TO_END,
        TIMERS,
        LATENCY,
        BACKLOG,
        IDLE,
        HERD,
        FAILOVER,
        FAIRNESS,
        HISTORY,
    )
}

__all__ = ["SCENARIOS"]
