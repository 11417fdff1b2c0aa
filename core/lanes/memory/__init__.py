"""What an owner holds in memory of a lane: instances, windows over ready steps, and how they come and go."""
