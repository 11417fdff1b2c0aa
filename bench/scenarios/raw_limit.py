"""The limit beside another scenario's rounds: the raw writer, warmed up, at the combination that suits it best."""

from __future__ import annotations

from msgspec import Struct

from ..load import Hand
from ..scenario import Run
from .raw import RawPass, measured, warmed_up

COMBINATIONS = ((1_000, 4), (1_000, 2), (500, 4), (500, 2), (2_000, 2))
_PASSES_EACH = 2


class Limit(Struct, frozen=True):
    """The best of some passes in a row. `elasticsearch_cpu_us` is what Elasticsearch used for a document, over all."""

    documents_per_s: float
    elasticsearch_cpu_us: float


class RawLimit:
    """Owns no process: `writer` plays the raw writer's role. `find` comes before `passes`."""

    def __init__(self, run: Run, writer: Hand) -> None:
        self._run = run
        self._writer = writer
        self.batch, self.connections = COMBINATIONS[0]
        self.document_bytes = 0
        self.items_refused = 0

    async def find(self, warm_up_s: float, combinations: int = len(COMBINATIONS)) -> None:
        """Write until the speed has levelled off, then see which of the likeliest combinations is the best."""
        self.document_bytes = await warmed_up(self._run, self._writer, COMBINATIONS[0], warm_up_s)
        best = 0.0
        for batch, connections in COMBINATIONS[:combinations]:
            for _ in range(_PASSES_EACH):
                found = await self._pass(batch, connections)
                if found.documents_per_s > best:
                    best, self.batch, self.connections = found.documents_per_s, batch, connections
        self._run.say(f"raw: {best:,.0f} documents/s in bulks of {self.batch} over {self.connections}")

    async def passes(self, count: int) -> Limit:
        """So many passes in a row."""
        cluster = self._run.cluster
        found, cpu_s = [], 0.0
        for _ in range(count):
            before_s = await cluster.cpu_s()
            found.append(await self._pass(self.batch, self.connections))
            cpu_s += await cluster.cpu_s() - before_s
        documents = sum(each.documents for each in found)
        return Limit(max(each.documents_per_s for each in found), round(cpu_s * 1e6 / documents, 1))

    async def _pass(self, batch: int, connections: int) -> RawPass:
        _, found = await measured(self._writer, batch, connections)
        self.items_refused += found.items_refused
        return found
