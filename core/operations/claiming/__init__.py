"""What executors ask: `claims` leases ready steps to them, `reports` takes what they say of the leases they hold.

`executors` remembers in memory alone who asked for which capability lately.
"""
