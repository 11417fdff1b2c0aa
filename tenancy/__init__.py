"""Who gets the next step: weighted fair queueing over tenants.

A tenant's virtual time advances by what its claims cost, divided by its weight; the tenant that is furthest behind is
served first. A tenant that was idle re-enters at the queue's own virtual time, so it gets no credit for its absence
and pays no debt for having been served when nobody else wanted anything.
"""

from .fair_queue import FairQueue, May

__all__ = ["FairQueue", "May"]
