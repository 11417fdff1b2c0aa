"""Usage by day: days that are older than the retention go. Counting leaves such days alone (`core.usage.counting`), so
that a late row of one does not bring it back with the sums of what rows are left.
"""

from __future__ import annotations

from ...ilm import IndexNames
from ..es.sweeps import before, sweep
from ..metrics import Metrics
from ..ports import Clock, Store
from ..usage.counting import oldest_day_ms
from .clearing import PAGE, Pace, delete


class UsageDays:
    """One replica's."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, metrics: Metrics, kept_days: int) -> None:
        self._store = store
        self._index = names.usage
        self._clock = clock
        self._metrics = metrics
        self._kept_days = kept_days

    async def pass_once(self) -> int:
        """Returns how many documents have gone. Raises: StoreError."""
        filters = [before("@timestamp", oldest_day_ms(self._clock.now_ms(), self._kept_days))]
        pace = Pace(self._clock)
        cleared = 0
        async for page in sweep(self._store, self._index, filters, fields=[], page_size=PAGE):
            gone = await delete(self._store, self._index, page)
            self._metrics.cleared("usage", len(gone))
            cleared += len(gone)
            await pace.rest()
        return cleared
