"""Claimers of another kind than ours, to compare with: processes that share an index of tasks and no owner.

`mget_claimer` re-creates the claim cycle of Kibana's Task Manager (claim strategy `mget`, the default since 8.18), from
reading how it works: `TaskTable` has its index and requests, `partitions` who looks for which tasks. `search_claimer`
is what one writes first: search, then update what was found.

Their client is as lean as ours: the same blocking connection, requests built as bytes, answers decoded by msgspec into
just the fields that are needed. What a claim takes is therefore Elasticsearch's time, and the herd's.
"""

from .claimers import MgetClaimer, SearchClaimer
from .poll_orders import Cycle, Poll, Polled, PollerSetup, SeededTasks, SeedTasks, TaskSeederSetup
from .task_seeder import TaskSeeder

__all__ = [
    "Cycle",
    "MgetClaimer",
    "Poll",
    "Polled",
    "PollerSetup",
    "SearchClaimer",
    "SeedTasks",
    "SeededTasks",
    "TaskSeeder",
    "TaskSeederSetup",
]
