"""Lanes: where live instances are kept, owned and written.

`control` takes lanes under leases; `takeover` fences a lane and loads it; `lane` applies events to its `resident`
instances and follows their effects; `committer` writes all that has changed in one bulk behind the fence, and settles
the `tickets` of those who wait; `history` delivers what the outboxes hold and lets finished instances go. `codec` turns
an instance into its document and back; `ready_queue` (pure) pairs claimable steps with waiting claims.
"""
