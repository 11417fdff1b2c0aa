"""What a `Worker` is made of.

- `leases`: which heartbeats are due and which leases are over; pure, the caller passes the time.
- `attempt`: one function call under one lease, and the report that comes of it.
- `context`: what the function sees of its step, and what it says on the way.
- `threads`: plain functions, each in a thread of its own.
- `reporter`: reports that become due at the same time travel together, and again until they are answered.
"""
