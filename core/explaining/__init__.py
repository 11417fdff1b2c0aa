"""Why an instance waits: a pure function from what a replica knows of it to an answer that names each cause.

`facts` says what has to be known beside the instance itself: who asks for a capability, what is ahead in the queue, how
long leases last, who owns the lane. `operations.looking` gathers that; `explain` makes the sentences. Each cause has a
stable word, a sentence that says what is found, and what to do about it.
"""

from .explain import explain
from .facts import Facts, Holding, LaneFacts, Placing, QuotaFacts

__all__ = ["Facts", "Holding", "LaneFacts", "Placing", "QuotaFacts", "explain"]
