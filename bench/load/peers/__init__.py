"""Claimers of another kind than ours, to compare with: processes that share an index of tasks and no owner.

`claimers.mget_cycle` re-creates the claim cycle of Kibana's Task Manager (claim strategy `mget`, the default since
8.18), written from reading how it works: `TaskTable` has its index and requests, `partitions` who looks for which
tasks. `claimers.search_cycle` is what one writes first: search, then update what was found.

Their client is as lean as ours: the same blocking connection, requests built as bytes, answers decoded by msgspec into
just the fields that are needed. What a claim takes is therefore Elasticsearch's time, and the herd's.
"""

from .claimers import Poller
from .poll_orders import Cycle, Kind, Poll, Polled, PollerSetup, SeededTasks, SeedTasks, TaskSeederSetup

__all__ = [
    "Cycle",
    "Kind",
    "Poll",
    "Polled",
    "Poller",
    "PollerSetup",
    "SeedTasks",
    "SeededTasks",
    "TaskSeederSetup",
]
