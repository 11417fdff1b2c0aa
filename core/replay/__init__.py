"""Replay: what has happened to an instance, through the machine once more, under its own version or under another.

A `Recording` is what an instance began with, its events with all that they brought, and what it was in the end.
`restore` makes one of what is stored: the event log keeps no results, since these stand in the steps' states or, for
states that are gone, in the rows of their attempts.

`replay(recording, plan)` applies the events under the instance's own version. A stored instance never differs from its
replay, so a difference says that the machine or the record is not what it was.

`compare(recording, own, other)` applies the events under both versions side by side, and stops at the first event after
which the two would have been told apart. **The same past** means, after every event:

- the event was applied under both, and changed something;
- no timer fell due under the other version before the event that was not due under its own;
- every step that has begun under one of them has begun under both, with the same status, attempt, token, result, error
  type, checkpoint, times, counts of failures and losses, usage, approval, and place in its branches, iterations and
  children. A step that has not begun may be there or not, and may say anything;
- executors and children were given the same: capability, input and further keys of a step, the workflow and params of a
  sub-workflow, the items of a foreach; and leases and attempts ended in the same way;
- the instance has the same status, end in sight, outputs, error type, usage, counts, `vars`, signals and memory.

A `Migrated` in the log is passed over: it changed the version, and the past was the same.

What lies ahead may differ: timers to come, deadlines, retries left, compensations, budgets not spent, steps to come,
labels, messages of errors (they name lines of the YAML). So an instance whose past is the same can go on under the
other version from the state that `Replayed.instance` holds, and history tells one story.

Pure: no clock, no chance, no I/O. What reads the store is `core.operations.looking.recordings`.
"""

from .recording import Recording, Wanted, children_of, decoded, missing_outputs, restore
from .replaying import Difference, Replayed, compare, replay

__all__ = [
    "Difference",
    "Recording",
    "Replayed",
    "Wanted",
    "children_of",
    "compare",
    "decoded",
    "missing_outputs",
    "replay",
    "restore",
]
