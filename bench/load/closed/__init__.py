"""Closed-loop load: as much as the scheduler takes, from many connections on one thread.

Where the question is how much, not how long, each connection sends its next request when the last one is answered.
All of a process's connections are served by one thread that waits for any of them (`conversations`), which costs less
than a thread for each: on a small machine what the load takes of the processors is missing from the scheduler.
"""

from .conversations import Conversation, converse
from .orders import (
    Batch,
    BatchStarterSetup,
    CompleteAll,
    Completed,
    Execute,
    Executed,
    ExecutorSetup,
    PacedSetup,
    Started,
    StartMany,
    Worked,
    WorkUntil,
)

__all__ = [
    "Batch",
    "BatchStarterSetup",
    "CompleteAll",
    "Completed",
    "Conversation",
    "Execute",
    "Executed",
    "ExecutorSetup",
    "PacedSetup",
    "StartMany",
    "Started",
    "WorkUntil",
    "Worked",
    "converse",
]
