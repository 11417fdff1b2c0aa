"""Shares of quotas, kept in the control index: sought where they are wanted, given back where they are not used.

A pass takes all quotas that are due: what is to be read is read in one request, what is to be written goes into one
bulk. A quota is in one pass at a time. Replicas tell each other when they wait for units or have given some; who does
not hear of it looks again by itself.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import structlog

from ....tenancy.quotas import Holding, Quota
from ....tenancy.shares import QuotaDocument
from ...errors import LeaseholdError, StoreError, Unavailable
from .accounts import RESTED_MS, WINDOW_MS, Account, Member, Plan, Registered
from .share_store import ShareStore

if TYPE_CHECKING:
    from ...engine import Engine
    from ..lane import Lane

log = structlog.get_logger(__name__)

# How long a lane that waits does without news before it looks again: at first, and at most.
_LOOK_MS = 100
_LOOK_MAX_MS = 1_000
# Whoever asks for units is answered after so many looks at the latest.
_LOOKS_FOR_OBTAIN = 2
_ATTEMPTS = 8
_PASSES_AT_ONCE = 4
_QUOTAS_AT_ONCE = 200


class ShareKeeper:
    """One replica's. All but `obtain` and `run` are synchronous and do no I/O themselves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._documents = ShareStore(engine.store, engine.names.control)
        self._accounts: dict[Quota, Account] = {}
        self._agenda: list[tuple[int, int, Account]] = []
        self._entries = 0
        self._woken = asyncio.Event()
        self._passes: set[asyncio.Task[None]] = set()

    def want(self, lane: Lane, holding: Holding) -> None:
        """A lane needs more units than it has; when they come, or the quota opens, `lane.quotas.supplied` is told."""
        member = self._member(lane, holding)
        if not member.wants:
            member.wants = True
            self._look(self._accounts[holding.quota])

    def drop(self, lane: Lane, holding: Holding) -> None:
        """The quota is not in force any more, and the lane has forgotten its holding."""
        member = self._member(lane, holding)
        member.dropped = True
        member.wants = False
        self._look(self._accounts[holding.quota])

    def freed(self, lane: Lane, holding: Holding) -> None:
        """A unit is free that other lanes wait for."""
        self._member(lane, holding)
        self._look(self._accounts[holding.quota])

    def look_at(self, quotas: Iterable[Quota]) -> None:
        """Another replica waits for units of these, or has given some to lanes of this one."""
        for quota in quotas:
            account = self._account(quota)
            account.told = True
            self._look(account)

    async def obtain(self, lane: Lane, holding: Holding) -> None:
        """Seek units for the lane now; returns when it is known whether there are any. Raises: StoreError."""
        member = self._member(lane, holding)
        holding.wanted = member.wants = True
        account = self._accounts[holding.quota]
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        account.waiters.append((member, _LOOKS_FOR_OBTAIN + account.in_flight, answer))
        self._look(account)
        await answer

    async def run(self) -> None:
        """Seek and give back, until cancelled."""
        try:
            while True:
                await self._wait()
                due = self._due()
                while due:
                    batch, due = due[:_QUOTAS_AT_ONCE], due[_QUOTAS_AT_ONCE:]
                    while len(self._passes) >= _PASSES_AT_ONCE:
                        await asyncio.wait(self._passes, return_when=asyncio.FIRST_COMPLETED)
                    task = asyncio.get_running_loop().create_task(self._pass(batch))
                    self._passes.add(task)
                    task.add_done_callback(self._passes.discard)
        finally:
            for task in self._passes:
                task.cancel()
            for account in self._accounts.values():
                account.answer_all(Unavailable("this replica is shutting down"))

    # What is due

    def _account(self, quota: Quota) -> Account:
        found = self._accounts.get(quota)
        if found is None:
            found = self._accounts[quota] = Account(quota)
        return found

    def _member(self, lane: Lane, holding: Holding) -> Member:
        members = self._account(holding.quota).members
        member = members.get(lane.name)
        if member is None or member.lane is not lane or member.holding is not holding:
            member = members[lane.name] = Member(lane, holding, self._now_ms)
        return member

    @property
    def _now_ms(self) -> int:
        return self._engine.clock.monotonic_ms()

    def _look(self, account: Account, in_ms: int = 0) -> None:
        """Look at the quota after this time at the latest; one that a pass has is looked at once that is over."""
        at_ms = self._now_ms + in_ms
        if account.due_ms is not None and account.due_ms <= at_ms:
            return
        account.due_ms = at_ms
        if not account.in_flight:
            self._enter(account)

    def _enter(self, account: Account) -> None:
        assert account.due_ms is not None
        self._entries += 1
        heapq.heappush(self._agenda, (account.due_ms, self._entries, account))
        if self._agenda[0][2] is account:
            self._woken.set()

    async def _wait(self) -> None:
        """Until a quota is due."""
        while not self._agenda or self._agenda[0][0] > self._now_ms:
            self._woken.clear()
            wait_s = (self._agenda[0][0] - self._now_ms) / 1_000 if self._agenda else None
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                return

    def _due(self) -> list[Account]:
        now_ms = self._now_ms
        due: list[Account] = []
        while self._agenda and self._agenda[0][0] <= now_ms:
            at_ms, _, account = heapq.heappop(self._agenda)
            if account.due_ms == at_ms and not account.in_flight:
                account.due_ms = None
                if self._idles(account, now_ms):
                    self._rest(account)
                else:
                    account.in_flight = True
                    due.append(account)
        return due

    def _idles(self, account: Account, now_ms: int) -> bool:
        """Whether there is nothing to be done about it but to look again later."""
        for member in account.members.values():
            if member.short_of_rate:
                member.wants = account.told = account.asks = True
        if account.waiting and account.backoff_ms and not account.told:
            # It has waited since the last look: others may have given it something.
            account.told = account.asks = True
        if account.known is None or account.told or account.waiting or account.restless or account.waiters:
            return False
        return not any(
            member.dropped or member.holding.owed or member.needless(now_ms) for member in account.members.values()
        )

    def _rest(self, account: Account) -> None:
        """Look again when that may be of use; a quota that no lane has to do with is forgotten."""
        account.forget_closed(self._engine.lanes)
        account.rest()
        members = account.members.values()
        if not members and not account.told:
            account.answer_all()
            if account.due_ms is None:
                self._accounts.pop(account.quota, None)
            return
        if account.known is None or account.waiting:
            account.backoff_ms = min(_LOOK_MAX_MS, 2 * account.backoff_ms or _LOOK_MS)
            self._look(account, account.backoff_ms + self._engine.random.randrange(account.backoff_ms // 2))
        else:
            account.backoff_ms = 0
        if account.restless or any(member.holding.owed for member in members):
            self._look(account, RESTED_MS)
        elif any(member.holding.share for member in members):
            self._look(account, 2 * WINDOW_MS if account.quota.of_rate else WINDOW_MS)

    # A pass

    async def _pass(self, accounts: list[Account]) -> None:
        self._engine.metrics.loop("shares")
        left = accounts
        try:
            for _ in range(_ATTEMPTS):
                left = await self._round(left)
                if not left:
                    break
        except StoreError as error:
            log.warning("quota.shares_not_kept", quotas=len(accounts), error=str(error))
            self._failed(accounts, error)
        except Exception as error:
            self._engine.metrics.loop_failed("shares")
            log.exception("quota.shares_not_kept", quotas=len(accounts))
            self._failed(accounts, StoreError(repr(error)))
        for account in accounts:
            account.in_flight = False
            if account.due_ms is not None:
                self._enter(account)
            self._rest(account)

    def _failed(self, accounts: Sequence[Account], error: LeaseholdError) -> None:
        for account in accounts:
            account.known = None
            account.answer_all(error)

    async def _round(self, accounts: list[Account]) -> list[Account]:
        """Read, decide and write once; returns those whose documents others have changed meanwhile."""
        await self._read([one for one in accounts if one.known is None or one.told])
        rules, registered = self._engine.tenants.rules, self._registered()
        writing: list[tuple[Account, Plan]] = []
        notices: dict[str, list[Quota]] = {}
        for account in accounts:
            assert account.known is not None
            self._meet(account, account.known.document)
            plan = account.plan(account.known, rules, registered, self._now_ms)
            if plan.writes:
                writing.append((account, account.sent(plan, rules, self._now_ms)))
            else:
                self._supply(account.unchanged(plan, self._now_ms))
                self._note(account, plan, notices)
        left = await self._write(writing, notices)
        self._tell(notices)
        return left

    async def _read(self, accounts: list[Account]) -> None:
        if not accounts:
            return
        for account in accounts:
            account.told = False
            account.known = None
        for account, found in zip(accounts, await self._documents.read([one.quota for one in accounts]), strict=True):
            account.known = found

    async def _write(self, writing: list[tuple[Account, Plan]], notices: dict[str, list[Quota]]) -> list[Account]:
        if not writing:
            return []
        for account, _ in writing:
            account.known = None
        stored = await self._documents.write(
            [(account.quota, plan.target, plan.found.version) for account, plan in writing]
        )
        left: list[Account] = []
        for (account, plan), stands in zip(writing, stored, strict=True):
            self._engine.metrics.share_write(stands is not None)
            if stands is None:
                left.append(account)
                continue
            self._supply(account.stands(plan, stands, self._now_ms))
            self._note(account, plan, notices)
        return left

    def _meet(self, account: Account, document: QuotaDocument | None) -> None:
        """Lanes of this replica that have units, or waited under an earlier owner, and know nothing of it."""
        account.forget_closed(self._engine.lanes)
        if document is None:
            return
        for lane in list(self._engine.lanes.values()):
            named = lane.name in document.shares or lane.name in document.wants
            if named and lane.open and lane.name not in account.members:
                holding = lane.quotas.holding(account.quota)
                if holding is not None:
                    self._member(lane, holding)

    def _registered(self) -> Registered:
        registry = self._engine.control.registry
        return Registered(
            removed=registry.was_removed,
            drained=lambda lane: registry.state(lane) == "drained",
            count=len(registry.lanes),
        )

    def _supply(self, members: Iterable[Member]) -> None:
        for member in members:
            member.lane.quotas.supplied(member.holding)

    def _note(self, account: Account, plan: Plan, notices: dict[str, list[Quota]]) -> None:
        """Who is to be told, and who is to be answered."""
        account.answer()
        before, after = plan.found.document, plan.target
        if after is None:
            return
        own = account.members.keys()
        told = {lane for lane in after.shares if before is None or after.units(lane) > before.units(lane)}
        new = after.wants.keys() - (() if before is None else before.wants.keys())
        if account.asks or own & new:
            account.asks = False
            told |= after.shares.keys()
        if before is not None and before.over and not after.over:
            told |= after.shares.keys() | after.wants.keys()
        for lane in told - own:
            lease = self._engine.control.lease(lane)
            if lease is not None and lease.address and lease.owner != self._engine.replica_id:
                quotas = notices.setdefault(lease.address, [])
                if account.quota not in quotas:
                    quotas.append(account.quota)

    def _tell(self, notices: dict[str, list[Quota]]) -> None:
        for address, quotas in notices.items():
            self._engine.tell_of_quotas(address, quotas)
