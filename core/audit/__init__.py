"""The audit trail: `workflow-audit`, written by one `Trail` a replica, every row a link of a chain.

A chain belongs to one writer and stands in one concrete index: the first row that a process puts into an index opens
it, and it ends with the process or the index. Its rows are numbered from 1 without gaps, and each holds its own hash
and the one of the row before (`rows`). So a removed, changed or inserted row breaks its chain, and when an index goes
of age, whole chains go and none is torn.

What a chain can't say of itself, how far it went, its *head* says: a document in `workflow-keys`, written after each
bulk and before anybody is told that a row stands. Whatever was confirmed is below a head. The row that opens a chain
names the heads of the others, so that a chain that was removed with its head is missed too. `verify` compares it all.
"""

from .chain import Outcome
from .handing import outcomes_of
from .trail import Trail

__all__ = ["Outcome", "Trail", "outcomes_of"]
