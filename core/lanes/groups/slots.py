"""Who of a concurrency group runs, who waits, and who has to go. Pure."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from ...principal import DEFAULT_SPACE, realm_of

Strategy = Literal["queue", "drop", "cancel_running", "replace_waiting"]


class GroupName(Struct, frozen=True):
    """What makes a group: instances of one tenant, space and workflow whose `concurrency.key` gives the same text."""

    tenant: str
    workflow: str
    key: str
    space: str = DEFAULT_SPACE

    @property
    def id(self) -> str:
        """What instances of the group carry."""
        return sha256(f"{realm_of(self.tenant, self.space)}\0{self.workflow}\0{self.key}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one more member. `dropped`: it is not to run; `cancelled` have to go, oldest first."""

    dropped: bool = False
    cancelled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A waiting member's place: the oldest goes first, and every owner of the lane sees the same order."""

    since_ms: int
    id: str


class Slots:
    """One group's members. Those that were told to go (`leaving`) hold their slots until they have ended.

    `limit` is that of the definition version of each waiting member, so versions may differ. The latest one that came
    also says what limit the group's answers name.
    """

    __slots__ = ("_limits", "_places", "_waiting", "leaving", "limit", "newest_ms", "running")

    def __init__(self) -> None:
        self.running: dict[str, Place] = {}
        self.leaving: set[str] = set()
        self.limit = 0
        self.newest_ms = 0
        self._waiting: list[Place] = []
        self._places: dict[str, Place] = {}
        self._limits: dict[str, int] = {}

    @property
    def empty(self) -> bool:
        return not self.running and not self._places

    @property
    def queue(self) -> list[str]:
        """Those that wait and are to run, oldest first."""
        return [place.id for place in self._waiting if place.id not in self.leaving]

    def __contains__(self, member: str) -> bool:
        return member in self.running or member in self._places

    def saw(self, member: str, since_ms: int, *, limit: int, queued: bool) -> None:
        """A live member is known, as it stands now."""
        place = Place(since_ms, member)
        self.limit = limit
        self.newest_ms = max(self.newest_ms, since_ms)
        if not queued:
            self._forget_place(member)
            self.running[member] = place
            return
        self.running.pop(member, None)
        self._limits[member] = limit
        if self._places.get(member) != place:
            self._forget_place(member)
            self._limits[member] = limit
            self._places[member] = place
            insort(self._waiting, place)

    def left(self, member: str) -> None:
        """The member has ended, or was none. Leaving twice does nothing."""
        self.running.pop(member, None)
        self.leaving.discard(member)
        self._forget_place(member)

    def next_ms(self, now_ms: int) -> int:
        """When one more member comes, at the earliest now: it comes behind all that are there.

        Clocks of two owners may differ; what came later must not pass for older.
        """
        return now_ms if self.empty else max(now_ms, self.newest_ms + 1)

    def admissible(self) -> str | None:
        """The oldest waiting member, if a slot is free for it."""
        for place in self._waiting:
            if place.id not in self.leaving:
                return place.id if len(self.running) < self._limits[place.id] else None
        return None

    def join(self, limit: int, strategy: Strategy) -> Verdict:
        """What one more member leads to. Those named in the verdict are `leaving` from here on."""
        verdict = self._verdict(limit, strategy)
        self.leaving.update(verdict.cancelled)
        return verdict

    def position(self, member: str) -> int:
        """How many waiting members come before this one; -1 for one that does not wait."""
        queue = self.queue
        return queue.index(member) if member in queue else -1

    def holders(self) -> list[str]:
        """Those that hold the slots, oldest first."""
        return [place.id for place in sorted(self.running.values())]

    def _verdict(self, limit: int, strategy: Strategy) -> Verdict:
        if strategy == "queue":
            return Verdict()
        queue = self.queue
        if len(self.running) + len(queue) < limit:
            return Verdict()
        if strategy == "drop":
            return Verdict(dropped=True)
        if strategy == "cancel_running":
            staying = [member for member in self.holders() if member not in self.leaving] + queue
            return Verdict(cancelled=tuple(staying[: max(0, len(staying) - limit + 1)]))
        # Those in front for whom there are slots do not wait: they are about to run.
        free = max(0, limit - len(self.running))
        return Verdict(cancelled=tuple(queue[free:]))

    def _forget_place(self, member: str) -> None:
        place = self._places.pop(member, None)
        self._limits.pop(member, None)
        if place is not None:
            self._waiting.remove(place)
