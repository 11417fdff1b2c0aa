"""Shares of quotas, kept in the control index: sought where they are wanted, given back where they are not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....tenancy.quotas import Holding

if TYPE_CHECKING:
    from ...engine import Engine
    from ..lane import Lane


class ShareKeeper:
    """One replica's. All but `obtain` and `run` are synchronous and do no I/O themselves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def want(self, lane: Lane, holding: Holding) -> None:
        """A lane needs more units than it has; when they come, or the quota opens, `lane.quotas.supplied` is told."""

    def drop(self, lane: Lane, holding: Holding) -> None:
        """The quota is not in force any more, and the lane has forgotten its holding."""

    def freed(self, lane: Lane, holding: Holding) -> None:
        """A unit is free that other lanes wait for."""

    async def obtain(self, lane: Lane, holding: Holding) -> None:
        """Seek units for the lane now; returns when it is known whether there are any. Raises: StoreError."""

    async def run(self) -> None:
        """Seek and give back, until cancelled."""
