"""Lane leases and replicas, in the control index: who owns which lane, taken and renewed by conditional writes.

An observer judges a lease dead when its document has not changed for the lease time by the observer's own monotonic
clock, so clocks need not agree. The owner trusts its lease from when the renewal was *sent*, less a margin, so a slow
success cannot stretch it. Source of the trust window: the elector of River (riverqueue/river).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from ...ilm import IndexNames
from ..errors import StoreError
from ..es.lines import create_line, delete_line, index_line, put_line
from ..ports import BulkItem, Clock, Store, Version
from ..settings import LaneSettings

log = structlog.get_logger(__name__)

REGISTRY = "lanes"
# The share of a lease in which its owner trusts it: the rest covers clocks that run at different speeds.
_TRUSTED_SHARE = 0.9


class LaneLease(Struct, frozen=True, kw_only=True):
    """The lease document of one lane. `owner` is None while nobody owns it; `renewals` makes each renewal a change."""

    kind: Literal["lane"] = "lane"
    lane: str
    owner: str | None = None
    address: str | None = None
    epoch: int = 0
    renewals: int = 0


class ReplicaRecord(Struct, frozen=True, kw_only=True):
    """A replica's own document: where it listens. It is renewed with the replica's leases."""

    kind: Literal["replica"] = "replica"
    replica: str
    address: str
    started_at_ms: int
    renewals: int = 0


class Registry(Struct, frozen=True, kw_only=True):
    """The lanes that exist."""

    kind: Literal["lanes"] = "lanes"
    lanes: list[str]


class Observation(Struct):
    """What was last seen of a lease, and since when (monotonic) it has not changed."""

    lease: LaneLease
    version: Version
    unchanged_since_ms: int


def wanted_leases(
    observed: Sequence[Observation], *, me: str, lease_ms: int, monotonic_ms: int
) -> list[tuple[Observation, Literal["renew", "take"]]]:
    """Which leases to write now: one's own are renewed, free and dead ones are taken. Pure."""
    wanted: list[tuple[Observation, Literal["renew", "take"]]] = []
    for seen in observed:
        if seen.lease.owner == me:
            wanted.append((seen, "renew"))
        elif seen.lease.owner is None or monotonic_ms - seen.unchanged_since_ms >= lease_ms:
            wanted.append((seen, "take"))
    return wanted


class Control:
    """One replica's view of the control index. `pass_once` observes, renews and takes, in two requests."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        settings: LaneSettings,
        replica_id: str,
        address: str,
        on_taken: Callable[[LaneLease, int], None],
        on_renewed: Callable[[str, int], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._store = store
        self._index = names.control
        self._clock = clock
        self._settings = settings
        self._me = replica_id
        self._address = address
        self._on_taken = on_taken
        self._on_renewed = on_renewed
        self._on_lost = on_lost
        self._observed: dict[str, Observation] = {}
        self._mine: set[str] = set()
        self._record = ReplicaRecord(replica=replica_id, address=address, started_at_ms=clock.now_ms())
        self._record_version: Version | None = None

    @property
    def leases(self) -> list[LaneLease]:
        """Every lane's lease as last seen."""
        return [seen.lease for seen in self._observed.values()]

    async def register_lanes(self) -> None:
        """Create the lease documents of registered lanes; what exists stays as it is. Raises: StoreError."""
        lines: list[bytes] = []
        for lane in await self.lanes():
            lines += (create_line(f"lane-{lane}"), msgspec.json.encode(LaneLease(lane=lane)))
        for item in await self._store.bulk(lines, index=self._index):
            if item.status not in (201, 409):
                raise StoreError(f"could not register {item.id}: {item.status} {item.error_reason}")

    async def lanes(self) -> list[str]:
        """The lanes that exist, as the bootstrap registered them."""
        document = await self._store.get(self._index, REGISTRY)
        return [] if document is None else msgspec.json.decode(document.source, type=Registry).lanes

    async def pass_once(self) -> None:
        """Look at every lease, then renew and take in one bulk. Raises: StoreError."""
        await self._observe()
        sent_ms = self._clock.monotonic_ms()
        wanted = wanted_leases(
            list(self._observed.values()), me=self._me, lease_ms=self._settings.lease_ms, monotonic_ms=sent_ms
        )
        leases = [self._next(seen, action) for seen, action in wanted]
        lines = self._record_lines()
        for (seen, _), lease in zip(wanted, leases, strict=True):
            lines += self._lease_lines(seen.version, lease)
        own, *items = await self._store.bulk(lines, index=self._index)
        self._record_version = own.version
        for (seen, action), lease, item in zip(wanted, leases, items, strict=True):
            self._read_answer(seen, action, lease, item, sent_ms)

    def abandon(self, lane: str) -> None:
        """A lane that was taken could not be loaded: take it again, under a new epoch, at the next pass."""
        seen = self._observed.get(lane)
        if seen is not None and seen.lease.owner == self._me:
            self._mine.discard(lane)
            free = msgspec.structs.replace(seen.lease, owner=None)
            self._observed[lane] = Observation(free, seen.version, seen.unchanged_since_ms)

    async def release(self, lanes: Sequence[str]) -> None:
        """Give lanes back and sign off, so that others may take over at once."""
        lines: list[bytes] = []
        for lane in lanes:
            seen = self._observed.get(lane)
            if seen is not None and seen.lease.owner == self._me:
                free = msgspec.structs.replace(seen.lease, owner=None, address=None)
                lines += self._lease_lines(seen.version, free)
                self._mine.discard(lane)
        lines.append(delete_line(f"replica-{self._me}"))
        await self._store.bulk(lines, index=self._index)

    async def replicas(self) -> list[ReplicaRecord]:
        """The replicas that have signed on, as of the last refresh of the control index."""
        await self._store.refresh(self._index)
        page = await self._store.search(
            self._index, {"query": {"term": {"kind": "replica"}}, "size": 1_000, "track_total_hits": False}
        )
        return [msgspec.json.decode(hit.source, type=ReplicaRecord) for hit in page.hits]

    async def _observe(self) -> None:
        lanes = list(self._observed) or await self.lanes()
        now_ms = self._clock.monotonic_ms()
        documents = await self._store.mget(self._index, [f"lane-{lane}" for lane in lanes])
        for lane, document in zip(lanes, documents, strict=True):
            if document is None or document.version is None:
                continue
            seen = self._observed.get(lane)
            if seen is None or seen.version != document.version:
                lease = msgspec.json.decode(document.source, type=LaneLease)
                self._observed[lane] = Observation(lease, document.version, now_ms)
                if lease.owner != self._me and lane in self._mine:
                    self._lose(lane)

    def _next(self, seen: Observation, action: Literal["renew", "take"]) -> LaneLease:
        lease = seen.lease
        return LaneLease(
            lane=lease.lane,
            owner=self._me,
            address=self._address,
            epoch=lease.epoch + (action == "take"),
            renewals=lease.renewals + 1,
        )

    def _record_lines(self) -> list[bytes]:
        self._record = msgspec.structs.replace(self._record, renewals=self._record.renewals + 1)
        return [put_line(f"replica-{self._me}"), msgspec.json.encode(self._record)]

    def _lease_lines(self, version: Version, lease: LaneLease) -> list[bytes]:
        return [index_line(f"lane-{lease.lane}", version.seq_no, version.primary_term), msgspec.json.encode(lease)]

    def _read_answer(
        self, seen: Observation, action: Literal["renew", "take"], lease: LaneLease, item: BulkItem, sent_ms: int
    ) -> None:
        if item.version is None:
            log.info("control.lease_not_written", lane=lease.lane, action=action, status=item.status)
            return
        self._observed[lease.lane] = Observation(lease, item.version, sent_ms)
        trusted_until_ms = sent_ms + int(self._settings.lease_ms * _TRUSTED_SHARE)
        if action == "renew":
            self._on_renewed(lease.lane, trusted_until_ms)
        else:
            self._mine.add(lease.lane)
            self._on_taken(lease, trusted_until_ms)

    def _lose(self, lane: str) -> None:
        self._mine.discard(lane)
        self._on_lost(lane)
