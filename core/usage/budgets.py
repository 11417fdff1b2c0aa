"""Whether a tenant has spent what it may, known without asking anybody at the moment of a claim or start.

What was spent is the sum of rows that stand in history (`spending`, read at most every `usage.budgets_every_ms`, and
only when history has changed) and of those that this replica has on their way there. So a budget is overshot by the
attempts that are under way when it is reached, and by what other replicas begin until their rows are seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from ...ilm import IndexNames
from ...tenancy.rules import Rules, TenantRules
from ...tenancy.spending import Amounts, Ledger, stop_of
from ...tenancy.stops import Stop
from ..errors import LeaseholdError
from ..machine.events import AttemptRecord
from ..metrics import Metrics
from ..ports import Clock, Store
from ..settings import UsageSettings
from ..tenants import Tenants
from .spending import Spending

log = structlog.get_logger(__name__)

_NEVER_MS = 2**63
# Looking takes at most this share of the time, however many rows there are.
_SHARE_OF_TIME = 0.1


class _Account:
    """What one tenant has on its way to history, and whether it is stopped."""

    __slots__ = ("on_the_way", "rows", "rules", "stop", "until_ms")

    def __init__(self, rules: TenantRules) -> None:
        self.rules = rules
        self.rows: dict[str, tuple[int, Amounts]] = {}
        self.on_the_way = Ledger()
        self.stop: Stop | None = None
        # Until then nothing changes by the passing of time.
        self.until_ms = 0


class Budgets:
    """One replica's. `stop` is what claims (`Stopper`) and starts ask; `on_changed` is told whom it changes for."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        settings: UsageSettings,
        metrics: Metrics,
        tenants: Tenants,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._tenants = tenants
        self._spending = Spending(store=store, names=names, clock=clock)
        self._accounts: dict[str, _Account] = {}
        self._stopped: set[str] = set()
        self._confirmed: list[tuple[str, str]] = []
        self._wanted = asyncio.Event()
        # There are tenants of which nothing was read yet.
        self._owed = False
        self._owed_from_ms = 0
        self._look_from_ms = 0
        self._rules: Rules = tenants.rules
        self._defaulted = False
        # Told when a tenant is stopped, and when it may go on.
        self.on_changed: Callable[[str], None] = lambda _: None
        tenants.on_changed.append(self.rules_changed)

    async def open(self) -> None:
        """Learn what was spent. Raises: StoreError."""
        self.rules_changed()
        if self._active:
            await self.look_once()

    @property
    def _active(self) -> bool:
        return self._defaulted or bool(self._accounts)

    def began(self, tenant: str, capability: str) -> None:
        """What a step consumes is known when it has ended."""

    def stop(self, tenant: str, capability: str = "") -> Stop | None:
        """Why nothing of the tenant may begin now, whatever its capability; None: it may. O(1)."""
        account = self._accounts.get(tenant) or self._account(tenant)
        if account is None:
            return None
        if self._clock.now_ms() >= account.until_ms:
            self._judge(tenant, account)
        return account.stop

    def on_its_way(self, row_id: str, tenant: str, record: AttemptRecord) -> None:
        """An attempt has ended, and its row is on its way to history."""
        account = self._accounts.get(tenant) or self._account(tenant)
        if account is None or row_id in account.rows:
            return
        amounts = amounts_of(record)
        account.rows[row_id] = (record.finished_at_ms, amounts)
        account.on_the_way.add(record.finished_at_ms, amounts)
        self._judge(tenant, account)

    def confirmed(self, row_id: str, tenant: str) -> None:
        """The row stands in history; the next look sees it."""
        if tenant in self._accounts:
            self._confirmed.append((row_id, tenant))

    def rules_changed(self) -> None:
        """Other budgets are in force than before."""
        rules = self._rules = self._tenants.rules
        self._defaulted = bool(rules.defaults.budgets)
        budgeted = {name: one for name, one in rules.tenants.items() if one.budgets}
        if self._defaulted:
            budgeted |= {name: rules.of(name) for name in self._accounts if name not in rules.tenants}
        for name in [name for name in self._accounts if name not in budgeted]:
            del self._accounts[name]
            self._tell(name, stopped=False)
        for name, one in budgeted.items():
            account = self._accounts.get(name)
            if account is None:
                self._accounts[name] = _Account(one)
            else:
                account.rules = one
            self._judge(name, self._accounts[name])
        self._owed |= self._spending.of(None if self._defaulted else self._accounts.keys())
        self._wanted.set()

    def forget_lane(self, name: str) -> None:
        """The lane's next owner delivers what is on its way to history."""
        for tenant, account in self._accounts.items():
            for row_id in [row_id for row_id in account.rows if row_id.partition("-")[0] == name]:
                self._shown(row_id, tenant)

    async def look_once(self) -> None:
        """See what attempts have consumed since the last look. Raises: StoreError."""
        confirmed, self._confirmed = self._confirmed, []
        try:
            changed = await self._spending.look()
        except BaseException:
            self._confirmed = confirmed + self._confirmed
            raise
        for row_id, tenant in confirmed:
            self._shown(row_id, tenant)
            changed.add(tenant)
        for tenant in changed:
            account = self._account(tenant)
            if account is not None:
                self._judge(tenant, account)

    def lift(self) -> None:
        """Let those go on whose periods are over."""
        now_ms = self._clock.now_ms()
        for tenant in list(self._stopped):
            account = self._accounts[tenant]
            if now_ms >= account.until_ms:
                self._judge(tenant, account)

    async def run(self) -> None:
        """Look while any tenant has a budget, and lift stops when their periods end, until cancelled."""
        while True:
            await self._nap()
            self.lift()
            began_ms = self._clock.monotonic_ms()
            if not self._active or began_ms < (self._owed_from_ms if self._owed else self._look_from_ms):
                continue
            self._owed = False
            self._metrics.loop("budgets")
            try:
                await self.look_once()
            except LeaseholdError as error:
                log.warning("budgets.not_seen", error=str(error))
                self._metrics.loop_failed("budgets")
            except Exception:
                log.exception("budgets.not_seen")
                self._metrics.loop_failed("budgets")
            now_ms = self._clock.monotonic_ms()
            self._owed_from_ms = now_ms + int((now_ms - began_ms) / _SHARE_OF_TIME)
            self._look_from_ms = max(self._owed_from_ms, now_ms + self._settings.budgets_every_ms)

    async def _nap(self) -> None:
        """Until the next look, the end of a period, or other budgets."""
        self._wanted.clear()
        now_ms = self._clock.now_ms()
        waits_ms = [self._accounts[tenant].until_ms - now_ms for tenant in self._stopped]
        if self._active:
            look_from_ms = self._owed_from_ms if self._owed else self._look_from_ms
            waits_ms.append(look_from_ms - self._clock.monotonic_ms())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(1, min(waits_ms)) / 1_000 if waits_ms else None):
                await self._wanted.wait()

    def _account(self, tenant: str) -> _Account | None:
        """A tenant's account, made for one without a document of its own that has the defaults' budgets."""
        account = self._accounts.get(tenant)
        if account is None and self._defaulted and tenant not in self._rules.tenants:
            account = self._accounts[tenant] = _Account(self._rules.of(tenant))
            self._judge(tenant, account)
        return account

    def _shown(self, row_id: str, tenant: str) -> None:
        """A look has seen the row: it is counted there."""
        account = self._accounts.get(tenant)
        known = None if account is None else account.rows.pop(row_id, None)
        if account is None or known is None:
            return
        account.on_the_way.take(*known)
        if not account.rows:
            # What rounding may have left goes with the last row.
            account.on_the_way = Ledger()

    def _judge(self, tenant: str, account: _Account) -> None:
        now_ms = self._clock.now_ms()
        ledgers = (self._spending.ledger(tenant), account.on_the_way)
        stop = stop_of(account.rules.budgets, ledgers, now_ms)
        account.stop = stop
        # A tenant that may go on is judged again when something of it ends; what is spent only falls by itself.
        account.until_ms = stop.until_ms if stop is not None and stop.until_ms is not None else _NEVER_MS
        self._tell(tenant, stopped=stop is not None, stop=stop)

    def _tell(self, tenant: str, *, stopped: bool, stop: Stop | None = None) -> None:
        if stopped == (tenant in self._stopped):
            return
        if stopped and stop is not None:
            self._stopped.add(tenant)
            log.warning(
                "budget.spent", tenant=tenant, quota=stop.quota, spent=stop.used, allowed=stop.allowed,
                until_ms=stop.until_ms,
            )  # fmt: skip
        else:
            self._stopped.discard(tenant)
            log.info("budget.open", tenant=tenant)
        self._metrics.budgets_stopped(len(self._stopped))
        self.on_changed(tenant)


def amounts_of(record: AttemptRecord) -> Amounts:
    """What an attempt consumed, as its row says it."""
    executor_ms = record.finished_at_ms - record.started_at_ms if record.started_at_ms else 0
    if record.usage is None:
        return Amounts(executor_ms=executor_ms)
    usage = record.usage
    return Amounts(usage.llm_calls, usage.llm_tokens, usage.cost, executor_ms)
