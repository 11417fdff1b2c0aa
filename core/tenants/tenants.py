"""The rules that are in force, kept up with the tenants index."""

from __future__ import annotations

from collections.abc import Callable

from ...ilm import IndexNames
from ...tenancy.rules import NO_RULES, Rules
from ..change_feed import Change
from ..metrics import Metrics
from ..ports import Clock, Store


class Tenants:
    """One replica's. `rules` follow the change feed; `on_changed` are called after each change."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._index = names.tenants
        self._clock = clock
        self._metrics = metrics
        self.rules: Rules = NO_RULES
        self.on_changed: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Read all documents. Raises: StoreError."""

    def changed(self, change: Change) -> None:
        """The index has changed: what is new is read soon."""

    async def run(self) -> None:
        """Read what has changed, until cancelled."""
