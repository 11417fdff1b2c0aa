"""A model of Elasticsearch that takes so many documents a second, one group write after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from leasehold.core.ports import BulkItem

from .model_store import ModelElasticsearch, ModelStore

_ROUND_TRIP_S = 0.002


class SlowServer(ModelStore):
    """A client of the model whose writes into `index` wait for those before them: by Little's law, under load."""

    def __init__(self, cluster: ModelElasticsearch, *, index: str, per_s: float) -> None:
        super().__init__(cluster, latency_s=lambda: _ROUND_TRIP_S / 2)
        self.per_s = per_s
        self._slow_index = index
        self._busy_until_s = 0.0

    async def bulk(
        self, lines: Sequence[bytes], *, index: str | None = None, timeout_ms: int = 30_000
    ) -> list[BulkItem]:
        if index == self._slow_index:
            now_s = asyncio.get_running_loop().time()
            self._busy_until_s = max(self._busy_until_s, now_s) + len(lines) / 2 / self.per_s
            await asyncio.sleep(self._busy_until_s - now_s)
        return await super().bulk(lines, index=index, timeout_ms=timeout_ms)
