"""Load: processes that start, claim and write over HTTP, beside the scheduler and never inside it.

Each process plays one *role* (`roles.ROLES`): it is set up once and then performs orders (`orders`), which `crew` sends
it. Roles block in threads instead of sharing an event loop, since a thread that waits for an answer notices it within
some ten microseconds, and their times are the machine's monotonic clock, so a start sent by one process and its claim
by another can be subtracted.

Load is open-loop (`arrivals`, `open_loop`): requests are due at times drawn beforehand, and latency counts from when a
request was due. Percentiles are taken from raw samples (`percentiles`).
"""

from .arrivals import Timed, due_offsets_ns, latencies_from_due, latencies_from_send, send_delays
from .crew import Hand, hired
from .http1 import Address, Answer, Connection, ConnectionLost
from .percentiles import Spread, percentile, spread

__all__ = [
    "Address",
    "Answer",
    "Connection",
    "ConnectionLost",
    "Hand",
    "Spread",
    "Timed",
    "due_offsets_ns",
    "hired",
    "latencies_from_due",
    "latencies_from_send",
    "percentile",
    "send_delays",
    "spread",
]
