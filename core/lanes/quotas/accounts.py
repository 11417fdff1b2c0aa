"""One quota as one replica sees it: its document as last known, and the replica's lanes that have to do with it.

`plan` says what is to be written, `sent` takes from memory what the write gives away, and only `stands`, with a write
that is acknowledged, adds anything to it. So a lane never uses more units than every copy of the document gives it:
what was read alone may be lost yet, and what may have been written may not have been.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ....tenancy.quotas import Holding, Quota, allowance
from ....tenancy.rules import Rules
from ....tenancy.shares import FREE, QuotaDocument, limited
from ....tenancy.sharing import Outcome, Position, settled
from ...errors import LeaseholdError
from .share_store import Stored

if TYPE_CHECKING:
    from ..lane import Lane

# What was used within one such window or the one before it counts as used recently.
WINDOW_MS = 500
# For so long a lane has its units before it owes others their turn.
RESTED_MS = 250
# A place in a rate's burst that is fuller than this is not given away, but for those that are kept too long.
_NEARLY_EMPTY = 0.1
_KEPT_TOO_LONG_MS = 1_000
_OF_INSTANCES = ("running_instances", "waiting_instances")


class Registered(Struct, frozen=True):
    """What is known of lanes: `removed` lanes are none any more, `drained` ones hold nothing, `count` there are."""

    removed: Callable[[str], bool]
    drained: Callable[[str], bool]
    count: int


class Member:
    """A lane of this replica, and its holding of the quota. `wants`: units were sought and have not come yet.

    `stood`: how many units the document gave it when a write of it was last acknowledged.
    """

    __slots__ = ("before", "dropped", "gained_ms", "holding", "lane", "stood", "wants", "window_ms")

    def __init__(self, lane: Lane, holding: Holding, now_ms: int) -> None:
        self.lane = lane
        self.holding = holding
        self.wants = False
        self.dropped = False
        self.gained_ms = now_ms
        self.before = 0
        self.stood = 0
        self.window_ms = now_ms

    @property
    def acts(self) -> bool:
        """Whether the replica may speak for the lane: all of it is in memory, and nobody has taken it over or is to.

        Where a later owner has given back all units, the document does not say that there is one.
        """
        return self.lane.trusted and not self.lane.leaving and not self.lane.closed

    def pass_time(self, now_ms: int) -> None:
        """Forget what was used longer ago."""
        if now_ms - self.window_ms >= WINDOW_MS:
            self.before = self.holding.peak
            self.holding.peak = self.holding.used
            self.window_ms = now_ms

    def needless(self, now_ms: int) -> bool:
        """Whether some of its slots have not been used for a while."""
        self.pass_time(now_ms)
        return not self.holding.quota.of_rate and self.holding.share > self._recent

    @property
    def short_of_rate(self) -> bool:
        """Whether a lane with a part of a rate was refused lately: the gate itself only waits for its units to fill."""
        holding = self.holding
        return holding.quota.of_rate and holding.wanted and 0 < holding.share < holding.allowance.units

    def position(self, document: QuotaDocument, known: Registered, now_ms: int) -> Position:
        """Where the lane stands. `document` is by the limit that is in force."""
        self.pass_time(now_ms)
        lane, holding = self.lane, self.holding
        if self.dropped:
            return Position(lane.name, lane.epoch)
        of_rate = holding.quota.of_rate
        place = self._of_rate if of_rate else self._of_slots
        return replace(
            place(document, known.count, now_ms),
            rested=not self._given(document) and now_ms - self.gained_ms >= RESTED_MS,
            lapses=not of_rate or known.drained(lane.name),
        )

    def _given(self, document: QuotaDocument) -> bool:
        """Whether others have given the lane units that it knows nothing of yet."""
        return _own_units(document, self) > self.stood

    def _of_slots(self, document: QuotaDocument, lanes: int, _now_ms: int) -> Position:
        """Of slots a lane wants as many again as it has, at first its part among all lanes."""
        lane, holding = self.lane, self.holding
        units = document.units(lane.name)
        wants = 0
        if (holding.wanted or lane.name in document.wants) and units - holding.used - holding.owed < 1:
            wants = max(1, units, -(-document.limit // max(1, lanes)) - units)
        sure = lane.instances.sure(holding.quota) if holding.quota.kind in _OF_INSTANCES else holding.used
        # What is on its way to the lane is not needless before it was there.
        recent = units if self._given(document) else self._recent
        return Position(lane.name, lane.epoch, used=holding.used, sure=sure, recent=recent, wants=wants)

    def _of_rate(self, document: QuotaDocument, _lanes: int, now_ms: int) -> Position:
        """Of a rate a lane wants all that it can get: what it has less of comes more slowly."""
        lane, holding = self.lane, self.holding
        units = document.units(lane.name)
        short = holding.wanted or (not units and lane.name in document.wants)
        wants = document.limit - units if short else 0
        active = (
            bool(wants)
            or units > holding.share
            or now_ms - max(holding.taken_ms, holding.refused_ms, self.gained_ms) < 2 * WINDOW_MS
        )
        used = min(units, self._places_kept(now_ms)) if active else 0
        recent = units if active else 0
        return Position(lane.name, lane.epoch, used=used, recent=recent, wants=wants, tokens=holding.tokens(now_ms))

    @property
    def _recent(self) -> int:
        return max(self.holding.used, self.holding.peak, self.before)

    def _places_kept(self, now_ms: int) -> int:
        """How many places of a rate's burst are full enough to be worth keeping: their time has been waited for."""
        rate = self.holding.allowance
        too_long_ms = max(_KEPT_TOO_LONG_MS, int(2_000 * rate.units / rate.per_s) if rate.per_s else 0)
        if now_ms - self.gained_ms >= too_long_ms:
            return 0
        return max(0, -int(-(self.holding.tokens(now_ms) - _NEARLY_EMPTY) // 1))


# A member that units are sought for, after how many looks its asker is answered, and where.
Waiter = tuple[Member, int, asyncio.Future[None]]


class Plan(Struct, frozen=True):
    """What to write over the version that `found` has; nothing unless `writes`. A `target` of None: remove it."""

    found: Stored
    outcome: Outcome
    target: QuotaDocument | None
    writes: bool
    members: tuple[Member, ...]


class Account:
    """One quota's. `known` is None while its document has to be read. Times are monotonic milliseconds.

    `told`: somebody has said that there is news. `asks`: at the next look others are to be asked for units.
    `due_ms`: when to look at it next. `restless`: units are to be given when they have been held for longer.
    """

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.members: dict[str, Member] = {}
        self.known: Stored | None = None
        self.told = False
        self.asks = False
        self.in_flight = False
        self.due_ms: int | None = None
        self.backoff_ms = 0
        self.restless = False
        self.waiters: list[Waiter] = []

    @property
    def waiting(self) -> bool:
        """Whether a lane still waits for units, or for its quota to open."""
        return any(member.wants for member in self.members.values())

    def forget_closed(self, lanes: Mapping[str, Lane]) -> None:
        """Lanes that this replica has given up, or has taken anew, are not spoken for."""
        for name, member in list(self.members.items()):
            if lanes.get(name) is not member.lane:
                del self.members[name]

    def plan(self, found: Stored, rules: Rules, known: Registered, now_ms: int) -> Plan:
        """What is to be done about the document."""
        allowed = allowance(rules, self.quota)
        base = found.document
        members = tuple(member for member in self.members.values() if member.acts)
        document = base or _new(self.quota, 0 if allowed is None else allowed.units, rules.seq_no)
        limit = document.limit if allowed is None else allowed.units
        document = limited(document, limit, rules.seq_no)
        positions = [member.position(document, known, now_ms) for member in members]
        outcome = settled(base or document, positions, limit=limit, as_of=rules.seq_no, removed=known.removed)
        target: QuotaDocument | None = outcome.document
        if allowed is None and not outcome.document.shares and not outcome.document.wants:
            target = None
        if base is None:
            writes = bool(outcome.document.shares or outcome.document.wants)
        else:
            writes = target is not base or (not found.acknowledged and self._would_gain(base, members))
        self.restless = outcome.restless
        return Plan(found, outcome, target, writes, members)

    def sent(self, plan: Plan, rules: Rules, now_ms: int) -> Plan:
        """The write is about to leave: what it gives away is not used from here on."""
        document = plan.target
        if document is None:
            return plan
        for member in plan.members:
            units = _own_units(document, member)
            if units < member.holding.share:
                member.holding.set_share(units, now_ms)
        if rules.seq_no > document.as_of and allowance(rules, self.quota) is not None:
            document = replace(document, as_of=rules.seq_no)
        return replace(plan, target=document)

    def stands(self, plan: Plan, stored: Stored, now_ms: int) -> list[Member]:
        """The document is acknowledged as it is; returns the members that have units to take."""
        self.known = stored
        for member in plan.members:
            if self._current(member):
                self._settle(member, plan, stored.document, now_ms)
        return self._looked(plan, stored.document, now_ms)

    def unchanged(self, plan: Plan, now_ms: int) -> list[Member]:
        """Nothing is to be written; returns the members that have units to take."""
        if plan.found.acknowledged:
            return self.stands(plan, plan.found, now_ms)
        self.known = plan.found
        return self._looked(plan, plan.outcome.document, now_ms)

    def _current(self, member: Member) -> bool:
        return self.members.get(member.lane.name) is member and member.acts

    def _settle(self, member: Member, plan: Plan, document: QuotaDocument | None, now_ms: int) -> None:
        """The member has what the document gives it."""
        holding, lane = member.holding, member.lane.name
        if document is None or member.dropped:
            holding.set_share(0, now_ms)
            holding.open = False
            return
        had = holding.share
        member.stood = document.units(lane)
        holding.set_share(_own_units(document, member), now_ms, filled=plan.outcome.filled.get(lane, 0.0))
        holding.open = not document.over and (not self.quota.of_rate or document.limit == holding.allowance.units)
        if holding.share > had:
            member.gained_ms = now_ms
            holding.peak = max(holding.peak, holding.share)

    def _looked(self, plan: Plan, document: QuotaDocument | None, now_ms: int) -> list[Member]:
        """Who waits still, and who has units to take."""
        supplied: list[Member] = []
        for member in plan.members:
            if not self._current(member):
                continue
            holding, lane = member.holding, member.lane.name
            if member.dropped:
                if document is None or not document.units(lane):
                    del self.members[lane]
                continue
            holding.owed = plan.outcome.owed.get(lane, 0)
            fills = self.quota.of_rate and holding.open and holding.share > 0
            if holding.free(now_ms) >= 1 or fills or _in_doubt(member):
                member.wants = False
                supplied.append(member)
            else:
                member.wants = document is not None and _waits(member, document)
                if _fills(holding):
                    supplied.append(member)
            if not member.wants or (self.quota.of_rate and document is not None and lane in document.wants):
                # Who was refused while the document was being written has no wish in it yet.
                holding.wanted = False
        return supplied

    def answer(self) -> None:
        """A look is over: who has got something is told, and who has waited for long enough."""
        still: list[Waiter] = []
        for member, looks, answer in self.waiters:
            known = self.members.get(member.lane.name) is member
            if known and member.wants and looks > 1 and not answer.done():
                still.append((member, looks - 1, answer))
            elif not answer.done():
                answer.set_result(None)
        self.waiters = still

    def answer_all(self, error: LeaseholdError | None = None) -> None:
        """Nobody looks any more, or it is not known what would be found."""
        for _, _, answer in self.waiters:
            if not answer.done():
                answer.set_result(None) if error is None else answer.set_exception(error)
        self.waiters = []

    def rest(self) -> None:
        """Lanes without units, use or wish for any are forgotten."""
        for name, member in list(self.members.items()):
            holding = member.holding
            if not (holding.share or holding.used or member.wants or member.dropped):
                del self.members[name]

    def _would_gain(self, document: QuotaDocument, members: tuple[Member, ...]) -> bool:
        """Whether a lane is given more by what was read than it may rely on before a write of its own stands."""
        for member in members:
            units = _own_units(document, member)
            if units > member.holding.share or (units and not member.holding.open and not document.over):
                return True
        return False


def _in_doubt(member: Member) -> bool:
    """Whether a lane has units of which it is not known if an earlier owner used them: it finds that out with them."""
    holding = member.holding
    if holding.quota.kind not in _OF_INSTANCES or not holding.open:
        return False
    return member.lane.instances.sure(holding.quota) < holding.share <= holding.used


def _waits(member: Member, document: QuotaDocument) -> bool:
    """Whether a lane that has nothing to take waits for units, or for its quota to open."""
    holding = member.holding
    if member.lane.name in document.wants:
        return True
    return bool(document.limit) and (holding.wanted or (bool(holding.share) and not holding.open))


def _fills(holding: Holding) -> bool:
    """Whether its units, though used up, come again by themselves."""
    return holding.quota.of_rate and holding.share > 0 and holding.open


def _own_units(document: QuotaDocument, member: Member) -> int:
    """What the document gives the lane under its present owner."""
    share = document.shares.get(member.lane.name)
    return share.units if share is not None and share.epoch == member.lane.epoch else 0


def _new(quota: Quota, limit: int, as_of: int) -> QuotaDocument:
    """The document of a quota that nobody has units of: a rate's burst may be used at once."""
    return QuotaDocument(limit=limit, as_of=as_of, filled={FREE: float(limit)} if quota.of_rate else {})
