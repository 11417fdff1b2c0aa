"""Who owns which lane: leases, members, the list of lanes, hand-over and removal, and the net under owned lanes."""
