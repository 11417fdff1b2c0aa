"""What people ask of an instance under way, or of one that has ended: pause, resume, skip, do again.

Cancelling and terminating are in `dispatch` and `ending`, decisions on approvals in `attempts`, signals in `flow`.
"""
