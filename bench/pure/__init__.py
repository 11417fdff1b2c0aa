"""The machine by itself, without a server: runs are recorded with the test kit, then their events are applied again.

`workloads` records, `timing` measures the processor time of applying, `written` counts the bytes that an owner would
write for what it applies. `deciding` measures the fair queue.
"""

from .deciding import Decisions, decisions
from .timing import cost_us, foreach_cost_us
from .workloads import Workload, chain, fan_out, loop, retried
from .written import foreach_bytes

__all__ = [
    "Decisions",
    "Workload",
    "chain",
    "cost_us",
    "decisions",
    "fan_out",
    "foreach_bytes",
    "foreach_cost_us",
    "loop",
    "retried",
]
