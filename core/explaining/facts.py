"""What is to be known of an instance beside its state, for its causes to be named."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from ...claim.wire import Explanation


class LaneFacts(Struct, frozen=True):
    """Who owns the instance's lane, as this replica last saw it. `should_own`: whom it belongs to, by the members.

    `dead`: the owner has not renewed its lease for its time; `silent`: it was asked just now and did not answer.
    `lease_ms`: how long a dead owner keeps a lane.
    """

    name: str
    owner: str | None = None
    dead: bool = False
    silent: bool = False
    should_own: str | None = None
    lease_ms: int = 0


class Holding(Struct, frozen=True):
    """A lease: until when it lasts without a heartbeat, and what its holder said of its progress."""

    until_ms: int
    progress: float | None = None
    message: str | None = None


class Placing(Struct, frozen=True):
    """A ready step's place. `ahead`: steps of its tenant and capability that come before, more where `or_more`.

    `of_others`: steps of other tenants that wait for the same capability. `askers`: workers that asked for it in the
    last minute; `silent_peers`: replicas that could not say who asks them.
    """

    ahead: int = 0
    or_more: bool = False
    of_others: int = 0
    askers: tuple[str, ...] = ()
    peers: int = 0
    silent_peers: int = 0


class QuotaFacts(Struct, frozen=True):
    """What of its tenant's limits holds something back; `reason`: in a few words, where they are not the usual ones.

    `used` and `allowed` are 0 where there is nothing to count, as of a tenant that is paused. `document` and `path` are
    where it is set: the tenant, or `*` for the deployment's.
    """

    quota: str
    used: float
    allowed: float
    reason: str = ""
    document: str = ""
    path: str = ""


class GroupFacts(Struct, frozen=True):
    """A concurrency group without a free slot: who holds them, and how many wait before this instance."""

    limit: int
    holders: tuple[str, ...]
    ahead: int


class Facts(Struct, frozen=True, kw_only=True):
    """All of it. Steps and children that are not named have nothing to be known of.

    `quota` keeps the instance from beginning; `quotas` keep ready steps from being claimed.
    """

    now_ms: int
    live: bool
    lane: LaneFacts
    holdings: Mapping[str, Holding] = {}
    placings: Mapping[str, Placing] = {}
    children: Mapping[str, Explanation] = {}
    group: GroupFacts | None = None
    quota: QuotaFacts | None = None
    quotas: Mapping[str, QuotaFacts] = {}
    history_lag_records: int = 0
    history_lag_ms: int = 0
