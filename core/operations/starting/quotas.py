"""What starts take of their tenant's quotas: a place among those that wait to begin, and one of the rate of starts.

A unit is taken of the lane that the instance goes to. A lane that has none seeks some; where there are none either, the
start is refused with the quota's name and when to come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from ....tenancy.quotas import Holding, take_all
from ...engine import Engine
from ...errors import Forbidden, LeaseholdError, QuotaExceeded
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...lanes.quotas.limits import InstanceLimits, Limits

_RETRY_AFTER_S = 1.0


class Units:
    """What one start has taken. As a context manager it puts back what has not been spent."""

    __slots__ = ("_holdings",)

    def __init__(self, holdings: tuple[Holding, ...] = ()) -> None:
        self._holdings = holdings

    def spend(self) -> None:
        """The instance comes to be in this turn: it counts itself from here on, and what is of rates is used up."""
        holdings, self._holdings = self._holdings, ()
        for holding in holdings:
            if not holding.quota.of_rate:
                holding.put_back()

    def put_back(self) -> None:
        """Nothing comes of the start."""
        holdings, self._holdings = self._holdings, ()
        for holding in holdings:
            holding.put_back()

    def __enter__(self) -> Units:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.put_back()


NO_UNITS = Units()


class StartQuotas:
    """One replica's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limits = InstanceLimits(engine.tenants)

    def of(self, tenant: str, workflow: str) -> Limits:
        """What a start has to keep to. Costs a dictionary look-up."""
        return self._limits.of(tenant, workflow)

    def check_known(self, tenant: str) -> None:
        """Raises: Forbidden for a tenant without a document, where the deployment wants one for each."""
        rules = self._engine.tenants.rules
        if rules.tenants.get(tenant, rules.defaults).refused:
            raise Forbidden(
                f"tenant {tenant!r} has no document, and this deployment refuses unknown tenants: an operator gives it"
                f" one (leasehold tenants set {tenant} weight=1), or sets `unknown_tenants: admit`"
            )

    async def take(self, limits: Limits, lane: Lane) -> Units:
        """Units for one start in that lane, sought if need be. Raises: QuotaExceeded; StoreError."""
        sought: set[Holding] = set()
        while True:
            found = self._take_here(limits, lane)
            if isinstance(found, Units):
                return found
            if found in sought or _has_all(found):
                raise self._exceeded(found)
            sought.add(found)
            await self._engine.shares.obtain(lane, found)

    async def take_anywhere(self, limits: Limits) -> tuple[Lane, Units]:
        """Units for one start, and the lane of this replica's that they are of. Raises: NotOwner; as `take`."""
        lane = self._engine.lane_for_start()
        if not limits.starting:
            return lane, NO_UNITS
        for one in (lane, *self._engine.active_lanes_here()):
            found = self._take_here(limits, one)
            if isinstance(found, Units):
                return one, found
        return lane, await self.take(limits, lane)

    async def take_many(self, limits: Sequence[Limits], lane: Lane) -> list[Units | LeaseholdError]:
        """Units for each start, as far as there are any, in their order; for the rest what they are told."""
        outcomes: list[Units | LeaseholdError] = [NO_UNITS] * len(limits)
        left = [slot for slot, one in enumerate(limits) if one.starting]
        sought: set[Holding] = set()
        while left:
            lacking: dict[int, Holding] = {}
            for slot in left:
                found = self._take_here(limits[slot], lane)
                if isinstance(found, Units):
                    outcomes[slot] = found
                else:
                    lacking[slot] = found
                    outcomes[slot] = self._exceeded(found)
            if len(lacking) < len(left):
                # Each seeking may bring a part of the units only.
                sought.clear()
            seek = [one for one in dict.fromkeys(lacking.values()) if one not in sought and not _has_all(one)]
            if not seek:
                break
            left = list(lacking)
            sought.update(seek)
            try:
                for holding in seek:
                    await self._engine.shares.obtain(lane, holding)
            except LeaseholdError as error:
                outcomes = [error if slot in lacking else one for slot, one in enumerate(outcomes)]
                break
        return outcomes

    async def let_begin(self, lane: Lane, resident: Resident) -> None:
        """Seek a unit for an instance that is the first in its line. Raises: StoreError; Unavailable."""
        lacking = lane.admission.lacking_for_first(resident)
        if lacking is not None and not _has_all(lacking):
            await self._engine.shares.obtain(lane, lacking)

    def _take_here(self, limits: Limits, lane: Lane) -> Units | Holding:
        """Units of that lane, or the holding that has none."""
        if not limits.starting:
            return NO_UNITS
        found = map(lane.quotas.holding, limits.starting)
        holdings = tuple(holding for holding in found if holding is not None)
        return take_all(holdings, self._engine.clock.monotonic_ms()) or Units(holdings)

    def _exceeded(self, holding: Holding) -> QuotaExceeded:
        quota, units = holding.quota, holding.allowance.units
        whose = f"tenant {quota.tenant}" + (f" for workflow {quota.scope}" if quota.scope else "")
        wait_ms = holding.wait_ms(self._engine.clock.monotonic_ms())
        if quota.of_rate:
            # A lane without a share can't tell: no later than a whole new one is there, wherever that is.
            wait_ms = round(1_000 / holding.allowance.per_s) if wait_ms is None else wait_ms
            rate = f"{holding.allowance.per_s:g} starts a second and {units} at once"
            found = f"{whose} is at its quota {quota.word}: {rate} are allowed; send it again a little later"
        else:
            found = (
                f"{whose} is at its quota {quota.word}: {units} instances may wait to begin;"
                " send it again when some have begun"
            )
        return QuotaExceeded(found, quota.word, _RETRY_AFTER_S if not wait_ms else wait_ms / 1_000)


def _has_all(holding: Holding) -> bool:
    """Whether no other lane has any units that could be sought."""
    return holding.open and holding.share >= holding.allowance.units
