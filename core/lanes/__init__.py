"""Lanes: where live instances are kept, owned and written.

`lane` applies events to instances in memory and follows their effects; `timers` says when a timer or a lease is over;
`records` puts what is to be recorded into outboxes, `history` delivers it and lets finished instances go; `codec` turns
an instance into its document and back; `tickets` are what callers wait with.

- `ownership`: who owns which lane, from the lease to the hand-over, and what happens when somebody else writes.
- `memory`: which instances and ready steps an owner holds, and how they come and go, a take-over included.
- `commits`: all that has changed in one bulk behind the fence, and what its answers mean.
"""
