"""What a watcher is told, and what it answers."""

from __future__ import annotations

from msgspec import Struct

from ..http1 import Address


class WatcherSetup(Struct, frozen=True):
    """Claims and completes from the setup on, until told to finish: so many connections for each capability.

    A connection pauses for `pause_ms` after each completion: a steady load that leaves the machine room.
    """

    scheduler: Address
    capabilities: list[str]
    connections: int = 1
    pause_ms: int = 20
    lease_ms: int = 60_000
    wait_ms: int = 2_000


class Sighting(Struct, frozen=True, array_like=True):
    """A claimed step: the number in its payload, when it came, and when its completion was acknowledged.

    `capability` is the place in the setup's list. `completion` is the last answer's status (0: none came).
    """

    number: int
    capability: int
    arrived_ns: int
    completed_ns: int
    completion: int


class Observed(Struct, frozen=True):
    """`unanswered` counts claims answered neither 200 nor 204 or not at all; `repeated` completions sent again."""

    sightings: list[Sighting]
    unanswered: int
    repeated: int
