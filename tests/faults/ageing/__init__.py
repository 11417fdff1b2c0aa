"""History that ages under faults: the load, the roll-overs and blocks, and what stands in the indices at the end."""
