"""What a scenario stands on: an Elasticsearch, a scheduler process, indices under a prefix of its own.

Each is a context that takes away what it made: processes are ended by the id they were started with, indices and
templates are removed by name. A cluster of one's own (`LEASEHOLD_ES_URL`) is left as it was found.
"""

from .aftermath import DRAIN_S, left_in_lanes, wrong_aftermath
from .cluster import Cluster, open_cluster
from .lanes import bare_lane
from .scheduler import Counts, Scheduler, running_scheduler

__all__ = [
    "DRAIN_S",
    "Cluster",
    "Counts",
    "Scheduler",
    "bare_lane",
    "left_in_lanes",
    "open_cluster",
    "running_scheduler",
    "wrong_aftermath",
]
