"""What requests do, each on the lanes that this replica owns.

A room for each thing that is asked: `starting`, `claiming`, `steering`, `looking`, `versioning`. `lanes` is what is
asked about lanes, and `for_peers` does any of it for another replica. What belongs elsewhere is passed on to its owner.
"""
