"""Lane leases and replicas, in the control index: who owns which lane, taken and renewed by conditional writes.

An observer judges a lease dead when its document has not changed for the lease time by the observer's own monotonic
clock, so clocks need not agree. The owner trusts its lease from when the renewal was *sent*, less a margin, so a slow
success cannot stretch it. Source of the trust window: the elector of River (riverqueue/river).

A pass costs one realtime multi-get, and one bulk when there is something to write: own leases are renewed together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal, TypeVar

import msgspec
import structlog
from msgspec import Struct

from ....ilm import IndexNames
from ...errors import StoreError
from ...es.lines import create_line, delete_line, index_line, put_line
from ...ports import BulkItem, Clock, Store, StoredDocument, Version
from ...settings import LaneSettings
from .membership import assignment
from .registry import REGISTRY, LaneState, Registry

log = structlog.get_logger(__name__)

MEMBERS = "replicas"
PEERS = "peers"
# The share of a lease in which its owner trusts it: the rest covers clocks that run at different speeds.
_TRUSTED_SHARE = 0.9
# A replica that has been silent for so many lease times is struck off.
_STRUCK_OFF_AFTER_LEASES = 3


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


class Members(Struct, frozen=True, kw_only=True):
    """The replicas that have signed on and were not struck off."""

    kind: Literal["replicas"] = "replicas"
    replicas: list[str]


class PeerSecret(Struct, frozen=True, kw_only=True):
    """What replicas show each other: made by the first one, read by whoever may read the control index."""

    kind: Literal["peers"] = "peers"
    secret: str


class Seen(Struct):
    """A document as last seen, and since when (monotonic) it has not changed."""

    source: bytes
    version: Version
    unchanged_since_ms: int


Action = Literal["renew", "take"]
Document = TypeVar("Document", bound=Struct)


def wanted_leases(
    leases: Mapping[str, tuple[LaneLease, int]], targets: Mapping[str, str], *, me: str, lease_ms: int, now_ms: int
) -> dict[str, Action]:
    """Which leases to write now: one's own are renewed; free and dead ones are taken by whom they should belong to.

    `leases` maps lanes to their lease and since when it has not changed. Pure.
    """
    wanted: dict[str, Action] = {}
    for lane, (lease, unchanged_since_ms) in leases.items():
        if lease.owner == me:
            wanted[lane] = "renew"
        elif targets.get(lane) == me and (lease.owner is None or now_ms - unchanged_since_ms >= lease_ms):
            wanted[lane] = "take"
    return wanted


class Control:
    """One replica's view of the control index. `pass_once` observes, then writes what is due.

    `registry` and `active` (the lanes that take new instances) are as last seen.
    """

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        random: Random,
        settings: LaneSettings,
        replica_id: str,
        address: str,
        on_taken: Callable[[LaneLease, int], None],
        on_renewed: Callable[[str, int], None],
        on_lost: Callable[[str], None],
        on_surplus: Callable[[str], None],
    ) -> None:
        self._store = store
        self._index = names.control
        self._clock = clock
        self._random = random
        self._settings = settings
        self._me = replica_id
        self._on_taken = on_taken
        self._on_renewed = on_renewed
        self._on_lost = on_lost
        self._on_surplus = on_surplus
        self._seen: dict[str, Seen] = {}
        self._leases: dict[str, LaneLease] = {}
        self._members: list[str] = []
        self.registry = Registry(lanes=[])
        self.active: frozenset[str] = frozenset()
        self._mine: set[str] = set()
        self._record = ReplicaRecord(replica=replica_id, address=address, started_at_ms=clock.now_ms())
        self._renewed_ms: int | None = None
        self._heard_others = False
        # Whoever hears of renewals within milliseconds makes its own then: what all write at once is one change to look
        # at. Where hearing takes a turn, it would only make renewals more frequent.
        self.renews_with_others = False
        self._signed_off = False
        # One writer at a time: a hand-over that met a renewal under way would lose the race for the lease document.
        self._writing = asyncio.Lock()
        self.peer_secret = ""

    @property
    def leases(self) -> list[LaneLease]:
        """Every lane's lease as last seen."""
        return list(self._leases.values())

    def lease(self, lane: str) -> LaneLease | None:
        """One lane's lease as last seen; None for a lane that does not exist."""
        return self._leases.get(lane)

    def should_own(self, lane: str) -> str | None:
        """The replica that the lane belongs to, by the members that live; None for a lane that does not exist."""
        return self._targets().get(lane)

    def state(self, lane: str) -> LaneState | None:
        """Whether the lane takes new instances, or how far it is on its way out; None for one that does not exist."""
        return self.registry.state(lane)

    def silent_ms(self, lane: str) -> int:
        """For how long the lane's lease has not changed, as far as this replica has seen; 0 where there is none."""
        seen = self._seen.get(f"lane-{lane}")
        return 0 if seen is None else self._clock.monotonic_ms() - seen.unchanged_since_ms

    def replicas(self) -> list[ReplicaRecord]:
        """The replicas that live, as last seen, this one among them."""
        others = [self._decoded(f"replica-{name}", ReplicaRecord) for name in self._live() if name != self._me]
        return [self._record, *(record for record in others if record is not None)]

    def peer_addresses(self) -> list[str]:
        """Where the other replicas that live answer."""
        return sorted({record.address for record in self.replicas()} - {self._record.address})

    def owned_elsewhere(self) -> list[LaneLease]:
        """The leases that other replicas hold and have renewed within the lease time."""
        now_ms = self._clock.monotonic_ms()
        return [
            lease
            for lane, lease in self._leases.items()
            if lease.owner not in (None, self._me)
            and now_ms - self._seen[f"lane-{lane}"].unchanged_since_ms < self._settings.lease_ms
        ]

    async def register_lanes(self) -> None:
        """Create the lease documents of registered lanes; what exists stays as it is. Raises: StoreError."""
        lines: list[bytes] = []
        for lane in await self._registered_lanes():
            lines += (create_line(f"lane-{lane}"), msgspec.json.encode(LaneLease(lane=lane)))
        lines += (create_line(MEMBERS), msgspec.json.encode(Members(replicas=[])))
        lines += (create_line(PEERS), msgspec.json.encode(PeerSecret(secret=f"{self._random.getrandbits(256):064x}")))
        for item in await self._store.bulk(lines, index=self._index):
            if item.status not in (201, 409):
                raise StoreError(f"could not register {item.id}: {item.status} {item.error_reason}")
        stored = await self._store.get(self._index, PEERS)
        if stored is not None:
            self.peer_secret = msgspec.json.decode(stored.source, type=PeerSecret).secret

    async def pass_once(self, *, changed: bool = True) -> None:
        """Look at every lease, then renew, take and hand over what is due. Raises: StoreError.

        Unless the index has `changed` since the last look, there is one only before others' leases or records are
        judged: nobody is taken for dead, and nothing taken, by what the change feed has not told.
        """
        async with self._writing:
            await self._pass_once(changed)

    async def _pass_once(self, changed: bool) -> None:
        if self._signed_off:
            return
        if changed or self._judges_others():
            await self._observe()
        if self._signed_off:
            return
        sent_ms = self._clock.monotonic_ms()
        targets = self._targets()
        wanted = self._due(targets, sent_ms)
        lines: list[bytes] = []
        leases = {lane: self._next(lane, action) for lane, action in wanted.items()}
        for lane, lease in leases.items():
            lines += self._lease_lines(lane, lease)
        lines += self._membership_lines(sent_ms)
        self._heard_others = False
        if lines:
            items = await self._store.bulk(lines, index=self._index)
            for (lane, action), item in zip(wanted.items(), items, strict=False):
                self._read_answer(lane, action, leases[lane], item, sent_ms)
        for lane in sorted(self._mine):
            if targets.get(lane, self._me) != self._me:
                self._on_surplus(lane)

    def abandon(self, lane: str) -> None:
        """A lane that was taken is held no more: take it again, under a new epoch, at the next pass."""
        lease = self._leases.get(lane)
        if lease is not None and lease.owner == self._me:
            self._mine.discard(lane)
            self._leases[lane] = msgspec.structs.replace(lease, owner=None)

    async def release(self, lanes: Sequence[str]) -> None:
        """Give lanes back, so that others may take them over at once. Raises: StoreError."""
        async with self._writing:
            lines = self._release_lines(lanes)
            if lines:
                await self._store.bulk(lines, index=self._index)

    async def stop(self) -> None:
        """Take and renew nothing any more. Returns when a pass that is under way has ended."""
        self._signed_off = True
        async with self._writing:
            pass

    async def leave(self, lanes: Sequence[str]) -> None:
        """Give lanes back and be no replica any more, in one write, so that nobody waits for either.

        Raises: StoreError.
        """
        self._signed_off = True
        async with self._writing:
            lines = [*self._release_lines(lanes), delete_line(f"replica-{self._me}")]
            await self._store.bulk(lines, index=self._index)

    async def sign_off(self) -> None:
        """Strike oneself off the list of members, which `leave` has voided already. Raises: StoreError."""
        for _ in range(5):
            found = await self._store.get(self._index, MEMBERS)
            if found is None or found.version is None:
                return
            members = msgspec.json.decode(found.source, type=Members).replicas
            line = index_line(MEMBERS, found.version.seq_no, found.version.primary_term)
            left = Members(replicas=[name for name in members if name != self._me])
            (item,) = await self._store.bulk([line, msgspec.json.encode(left)], index=self._index)
            if item.status != 409:
                return

    def _release_lines(self, lanes: Sequence[str]) -> list[bytes]:
        lines: list[bytes] = []
        for lane in lanes:
            lease = self._leases.get(lane)
            if lease is not None and lease.owner == self._me:
                lines += self._lease_lines(lane, msgspec.structs.replace(lease, owner=None, address=None))
                # Also when the write fails: what is held no more is not renewed, so that it runs out.
                self.abandon(lane)
        return lines

    async def _registered_lanes(self) -> list[str]:
        document = await self._store.get(self._index, REGISTRY)
        return [] if document is None else msgspec.json.decode(document.source, type=Registry).lanes

    async def _observe(self) -> None:
        """Read everything by id, at once; a lane or replica that is new to us is read in the next pass, or just now."""
        await self._read([REGISTRY, MEMBERS, *self._wanted_ids()])
        unread = [id for id in self._wanted_ids() if id not in self._seen]
        if unread:
            await self._read(unread)

    def _wanted_ids(self) -> list[str]:
        return [*(f"lane-{lane}" for lane in self._lane_names()), *(f"replica-{name}" for name in self._members)]

    def _lane_names(self) -> list[str]:
        return self.registry.lanes

    async def _read(self, ids: list[str]) -> None:
        documents = await self._store.mget(self._index, ids)
        now_ms = self._clock.monotonic_ms()
        for id, document in zip(ids, documents, strict=True):
            self._take_in(id, document, now_ms)

    def _take_in(self, id: str, document: StoredDocument | None, now_ms: int) -> None:
        struck_off = id.startswith("lane-") and id.removeprefix("lane-") not in self.registry.lanes
        if document is None or document.version is None or struck_off:
            self._forget(id)
            return
        seen = self._seen.get(id)
        if seen is not None and seen.version == document.version:
            return
        self._heard_others |= self.renews_with_others and id.startswith("replica-") and id != f"replica-{self._me}"
        self._seen[id] = Seen(document.source, document.version, now_ms)
        if id == REGISTRY:
            self._take_in_registry(msgspec.json.decode(document.source, type=Registry))
        elif id == MEMBERS:
            self._members = msgspec.json.decode(document.source, type=Members).replicas
        elif id.startswith("lane-"):
            lease = msgspec.json.decode(document.source, type=LaneLease)
            if lease.owner == self._me and lease.lane not in self._mine:
                # A write whose answer was lost has taken it: nobody holds the lane, so it is taken under a new epoch.
                lease = msgspec.structs.replace(lease, owner=None)
            self._leases[lease.lane] = lease
            if lease.owner != self._me and lease.lane in self._mine:
                self._mine.discard(lease.lane)
                self._on_lost(lease.lane)

    def _take_in_registry(self, registry: Registry) -> None:
        self.registry = registry
        self.active = frozenset(registry.active)
        for lane in set(self._leases).difference(registry.lanes):
            self._forget(f"lane-{lane}")

    def _forget(self, id: str) -> None:
        """A document is gone. A lane without a lease document is nobody's."""
        self._seen.pop(id, None)
        lane = id.removeprefix("lane-")
        if lane != id and self._leases.pop(lane, None) is not None and lane in self._mine:
            self._mine.discard(lane)
            self._on_lost(lane)

    def _live(self) -> list[str]:
        """The members whose records have changed within the lease time."""
        now_ms = self._clock.monotonic_ms()
        return [name for name in self._members if self._silent_ms(name, now_ms) < self._settings.lease_ms]

    def _silent_ms(self, name: str, now_ms: int) -> int:
        seen = self._seen.get(f"replica-{name}")
        return self._settings.lease_ms * 1_000 if seen is None else now_ms - seen.unchanged_since_ms

    def _due(self, targets: Mapping[str, str], now_ms: int) -> dict[str, Action]:
        leases = {lane: (lease, self._seen[f"lane-{lane}"].unchanged_since_ms) for lane, lease in self._leases.items()}
        wanted = wanted_leases(leases, targets, me=self._me, lease_ms=self._settings.lease_ms, now_ms=now_ms)
        if self._renewal_due(now_ms):
            return wanted
        return {lane: action for lane, action in wanted.items() if action == "take"}

    def _targets(self) -> dict[str, str]:
        """Who should own which lane. Those that hold nothing weigh nothing, so they are shared out by themselves."""
        replicas = {*self._live(), self._me}
        empty = [lane for lane in self._leases if self.state(lane) in ("drained", "removing")]
        return {**assignment(set(self._leases).difference(empty), replicas), **assignment(empty, replicas)}

    def _judges_others(self) -> bool:
        """Whether, by what was seen last, a lane would be taken, a member has fallen silent, or one is unread."""
        silent = len(self._live()) < len(self._members)
        return silent or "take" in self._due(self._targets(), self._clock.monotonic_ms()).values()

    def _renewal_due(self, now_ms: int) -> bool:
        if self._renewed_ms is None:
            return True
        every_ms = self._settings.renew_every_ms
        return now_ms - self._renewed_ms >= (every_ms // 2 if self._heard_others else every_ms)

    def _membership_lines(self, now_ms: int) -> list[bytes]:
        """One's own record when it is due, and the list of members when somebody joins or is struck off."""
        lines: list[bytes] = []
        if self._renewal_due(now_ms):
            self._renewed_ms = now_ms
            self._record = msgspec.structs.replace(self._record, renewals=self._record.renewals + 1)
            lines += (put_line(f"replica-{self._me}"), msgspec.json.encode(self._record))
        limit_ms = self._settings.lease_ms * _STRUCK_OFF_AFTER_LEASES
        dead = [name for name in self._members if name != self._me and self._silent_ms(name, now_ms) >= limit_ms]
        members = sorted({*self._members, self._me}.difference(dead))
        seen = self._seen.get(MEMBERS)
        if seen is not None and members != sorted(self._members):
            line = index_line(MEMBERS, seen.version.seq_no, seen.version.primary_term)
            lines += (line, msgspec.json.encode(Members(replicas=members)))
            lines += [delete_line(f"replica-{name}") for name in dead]
        return lines

    def _next(self, lane: str, action: Action) -> LaneLease:
        lease = self._leases[lane]
        return LaneLease(
            lane=lane,
            owner=self._me,
            address=self._record.address,
            epoch=lease.epoch + (action == "take"),
            renewals=lease.renewals + 1,
        )

    def _lease_lines(self, lane: str, lease: LaneLease) -> list[bytes]:
        version = self._seen[f"lane-{lane}"].version
        return [index_line(f"lane-{lane}", version.seq_no, version.primary_term), msgspec.json.encode(lease)]

    def _read_answer(self, lane: str, action: Action, lease: LaneLease, item: BulkItem, sent_ms: int) -> None:
        if item.version is None:
            log.info("control.lease_not_written", lane=lane, action=action, status=item.status)
            return
        self._seen[f"lane-{lane}"] = Seen(msgspec.json.encode(lease), item.version, sent_ms)
        if action == "renew" and lane not in self._mine:
            # Given up while the renewal was under way.
            self._leases[lane] = msgspec.structs.replace(lease, owner=None)
            return
        self._leases[lane] = lease
        trusted_until_ms = sent_ms + int(self._settings.lease_ms * _TRUSTED_SHARE)
        if action == "renew":
            self._on_renewed(lane, trusted_until_ms)
        else:
            self._mine.add(lane)
            self._on_taken(lease, trusted_until_ms)

    def _decoded(self, id: str, kind: type[Document]) -> Document | None:
        seen = self._seen.get(id)
        return None if seen is None else msgspec.json.decode(seen.source, type=kind)
