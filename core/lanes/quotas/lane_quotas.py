"""Whether a step or an instance of a lane may begin now, by the quotas that are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....tenancy.quotas import Holding, Quota, allowance

if TYPE_CHECKING:
    from ..lane import Lane


class LaneQuotas:
    """One lane's holdings. All of it is synchronous."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.holdings: dict[Quota, Holding] = {}

    def holding(self, quota: Quota) -> Holding | None:
        """The lane's share of a quota that is in force; None where it limits nothing (any more)."""
        found = self.holdings.get(quota)
        if found is None:
            parts = self._lane.parts
            allowed = allowance(parts.tenants.rules, quota)
            if allowed is None:
                return None
            found = self.holdings[quota] = Holding(quota, allowed, now_ms=parts.clock.monotonic_ms())
        return found

    def rules_changed(self) -> None:
        """Other quotas are in force than before."""

    def supplied(self, holding: Holding) -> None:
        """A holding has got units, or its quota has opened: what was refused for want of them is tried again."""
