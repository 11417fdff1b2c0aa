"""What a load process is told and what it answers: one JSON line each.

A process is a *role* (`roles.ROLES`). It gets its setup once, then orders, one after the other; each is answered. Times
are nanoseconds of the monotonic clock, which all processes of one machine share.
"""

from __future__ import annotations

from msgspec import Struct

from .arrivals import Timed
from .http1 import Address


class Fire(Struct, frozen=True):
    """Send at this rate, open loop, from `begin_ns` on. `first` is the number of the first request."""

    begin_ns: int
    rate_per_s: float
    duration_s: float
    seed: str
    first: int = 0


class StarterSetup(Struct, frozen=True):
    """Starts instances of `workflow`, each with its number as the input `n`, over so many connections.

    `tenant` is whose they are, unless the server's default.
    """

    scheduler: Address
    workflow: str
    connections: int
    tenant: str | None = None


class Start(Struct, frozen=True, array_like=True):
    """One start: its number, its moments, and the HTTP status of its answer (0: the connection was lost)."""

    number: int
    timed: Timed
    status: int


class Starts(Struct, frozen=True):
    starts: list[Start]


class ClaimerSetup(Struct, frozen=True):
    """Claims and completes steps until told to finish. As many claims wait as there are connections.

    `tenant` is whose executors they are (`*`: everybody's), unless the server's default.
    """

    scheduler: Address
    capability: str
    connections: int
    lease_ms: int = 30_000
    wait_ms: int = 2_000
    tenant: str | None = None


class Finish(Struct, frozen=True):
    """Go on until each connection has had one empty answer, then tell what was claimed.

    `at_once`: no longer than until the claims under way are answered, where there is always something to claim.
    """

    at_once: bool = False


class Claim(Struct, frozen=True, array_like=True):
    """One claimed step: the number that its payload carries, when it was asked for and when it came.

    `completion` is the HTTP status of its completion's answer.
    """

    number: int
    step_id: str
    asked_ns: int
    arrived_ns: int
    completed_ns: int
    completion: int


class Claims(Struct, frozen=True):
    """`failures` counts claim requests that were answered neither 200 nor 204, or not at all."""

    claims: list[Claim]
    failures: int


class GetProbeSetup(Struct, frozen=True):
    """Sends the same GET again and again: what a bare request to that server costs."""

    server: Address
    target: str
    connections: int


class CommitProbeSetup(Struct, frozen=True):
    """Writes one document by CAS and the fence behind it, in one bulk: the least that a durable transition can cost."""

    elasticsearch: Address
    index: str
    connections: int
    seed: int = 0


class Probe(Struct, frozen=True, array_like=True):
    """One probe's moments; `took_ms` is what Elasticsearch says that the bulk took (None for others)."""

    timed: Timed
    took_ms: int | None = None


class Probes(Struct, frozen=True):
    probes: list[Probe]


class RawWriterSetup(Struct, frozen=True):
    """Holds `documents` documents the size of a claimed instance in an index, and writes them over and over."""

    elasticsearch: Address
    index: str
    documents: int
    seed: int


class Prepare(Struct, frozen=True, tag=True):
    """Build the next pass: every document once, by CAS, in bulks of `batch` over `connections`."""

    batch: int
    connections: int


class Prepared(Struct, frozen=True):
    """`document_bytes` is the size of one document, `bytes` that of all that will be sent."""

    document_bytes: int
    bytes: int


class Pass(Struct, frozen=True, tag=True):
    """Send what was prepared, from `begin_ns` on."""

    begin_ns: int


class Passed(Struct, frozen=True):
    """A pass's outcome. `items_refused` counts bulk items that were not answered 2xx: there should be none.

    `cpu_ns` is what the writer itself used of the processors meanwhile.
    """

    documents: int
    began_ns: int
    ended_ns: int
    cpu_ns: int
    items_refused: int
    bulk_ns: list[int]


class SeederSetup(Struct, frozen=True):
    """Writes waiting instances straight into lanes that no replica owns, over so many connections."""

    elasticsearch: Address
    connections: int = 2


class Seed(Struct, frozen=True, tag=True):
    """Write `documents` instances of a one-step workflow into a lane's index, numbered from `first` on.

    The definition must be stored in the tenant `default`. With several `tenants` the instances are theirs in turn.
    """

    index: str
    lane: str
    workflow: str
    capability: str
    documents: int
    first: int = 0
    tenants: int = 1


class Backlog(Struct, frozen=True, array_like=True):
    """So many waiting instances of a tenant, numbered from `first` on."""

    tenant: str
    documents: int
    first: int


class SeedTenants(Struct, frozen=True, tag=True):
    """Write waiting instances of a one-step workflow into a lane's index, of each tenant as many as it is to have.

    Tenants' instances became ready side by side, from `ready_ms` (wall time) on. The definition must be stored in the
    tenant `default`.
    """

    index: str
    lane: str
    workflow: str
    capability: str
    backlogs: list[Backlog]
    ready_ms: int

    @property
    def documents(self) -> int:
        return sum(backlog.documents for backlog in self.backlogs)


class SeedSleepers(Struct, frozen=True, tag=True):
    """Write instances that wait for an approval, for ever or until a timer approves them (`sleepers`).

    The timers are due (wall time) evenly from `due_from_ms` to `due_to_ms`. The definitions must be stored in the
    tenant `default`.
    """

    index: str
    lane: str
    documents: int
    first: int = 0
    due_from_ms: int = 0
    due_to_ms: int = 0


class Seeded(Struct, frozen=True):
    """What was written. `bytes` counts whole requests."""

    documents: int
    bytes: int
    took_ns: int


class CountingProxySetup(Struct, frozen=True):
    """Passes on to Elasticsearch, without TLS on its own side, what comes to `port` of the loopback."""

    elasticsearch: Address
    port: int


class CountRequests(Struct, frozen=True):
    """Tell what has passed up to now."""


class RequestCounts(Struct, frozen=True):
    """How many requests of each kind have passed, by method, index and API."""

    at_ns: int
    requests: dict[str, int]


class Ready(Struct, frozen=True):
    """A process's first answer: it has its setup, and takes orders."""

    role: str


def role_command(role: str) -> list[str]:
    """The arguments that make a Python interpreter this role's process. `-P`: the working directory is no package."""
    return ["-P", "-m", "leasehold.bench.load", role]
