"""The limit: how many conditional writes of documents as large as a claimed instance Elasticsearch takes, alone.

No scheduler runs. Every pass writes each document of one bare lane once, over the version that stands, in bulks that
were built before the clock started. The best of several bulk sizes and connection counts is what the
scheduler's own claims are compared with. A weak limit would flatter them: below the bar is a defect of the benchmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import monotonic, monotonic_ns
from typing import Any

from msgspec import Struct, to_builtins

from ..ground import bare_lane
from ..load import Hand, hired, spread
from ..load.orders import Pass, Passed, Prepare, Prepared, RawWriterSetup
from ..report import Outcome, at_least
from ..scenario import Run, Scenario

DOCUMENTS_PER_S = 50_000

_LEAD_IN_NS = 50_000_000
_WITHIN_S = 120.0


class Plan(Struct, frozen=True):
    """How much is tried: (bulk size, connections), the likeliest first, since a quick run may have to stop early.

    The best of them runs up to `repeats` times more, for its median. `warm_up_s` bounds the warm-up.
    """

    documents: int
    warm_up_s: float
    combinations: tuple[tuple[int, int], ...]
    repeats: int


_LIKELY = ((1_000, 4), (1_000, 2), (500, 4), (500, 2), (2_000, 2))
_OTHERS = ((2_000, 4), (250, 4), (250, 2), (1_000, 1), (500, 1), (500, 8), (250, 8))
FULL = Plan(50_000, 60.0, (*_LIKELY, *_OTHERS), 8)
QUICK = Plan(20_000, 18.0, _LIKELY, 5)
SMOKE = Plan(4_000, 0.0, ((1_000, 2), (500, 2)), 1)
# A pass on a busy machine.
_PASS_S = 3.0
# Speeds are compared over as many passes: one alone may have met a merge or somebody else's work.
_WINDOW = 5
_GROWTH = 1.05


class RawPass(Struct, frozen=True):
    """One pass's speed, with the spread of its bulks' times."""

    batch: int
    connections: int
    documents: int
    documents_per_s: float
    bulk_p50_ms: float
    bulk_p99_ms: float
    client_cpu_us_per_document: float
    items_refused: int


async def run(run: Run) -> Outcome:
    """Sweep the combinations, then repeat the best one."""
    plan = run.options.choose(FULL, QUICK, SMOKE)
    async with bare_lane(run.cluster, "raw") as index:
        setup = RawWriterSetup(run.cluster.address, index, plan.documents, run.options.seed)
        async with hired("raw-writer", setup) as writer:
            run.say(f"{plan.documents} documents written; warming up")
            document_bytes = await warmed_up(run, writer, plan.combinations[0], plan.warm_up_s)
            cpu_before_s = await run.cluster.cpu_s()
            sweep = await _passes(run, writer, plan.combinations)
            best = max(sweep, key=lambda each: each.documents_per_s)
            again = await _passes(run, writer, [(best.batch, best.connections)] * plan.repeats)
            cpu_s = await run.cluster.cpu_s() - cpu_before_s
    every = [*sweep, *again]
    top = max(every, key=lambda each: each.documents_per_s)
    figures: dict[str, Any] = {
        "documents_per_s": top.documents_per_s,
        "batch": top.batch,
        "connections": top.connections,
        "median_documents_per_s": median(each.documents_per_s for each in again),
        "document_bytes": document_bytes,
        "elasticsearch_cpu_us_per_document": round(cpu_s * 1e6 / (len(every) * plan.documents), 1),
        "client_cpu_us_per_document": median(each.client_cpu_us_per_document for each in every),
        "sweep": to_builtins(sweep),
        "repeats": to_builtins(again),
    }
    return Outcome(
        figures=figures,
        targets=[at_least("conditional writes", top.documents_per_s, DOCUMENTS_PER_S, "documents/s")],
        wrong={"items_refused": sum(each.items_refused for each in every)},
        settings=to_builtins(plan),
    )


async def warmed_up(run: Run, writer: Hand, combination: tuple[int, int], warm_up_s: float) -> int:
    """Write until the speed has levelled off, for `warm_up_s` at most. Returns a document's size in bytes.

    A new Elasticsearch is several times slower until its Java has compiled the way of a write, which takes hundreds of
    thousands of documents.
    """
    until_s = monotonic() + warm_up_s
    speeds: list[float] = []
    while True:
        document_bytes, found = await measured(writer, *combination)
        speeds.append(found.documents_per_s)
        if levelled_off(speeds) or monotonic() > until_s:
            run.say(f"warm after {len(speeds)} passes: {speeds[0]:,.0f} to {speeds[-1]:,.0f} documents/s")
            return document_bytes


def levelled_off(speeds: Sequence[float]) -> bool:
    """Whether the last passes were hardly faster than those before them."""
    if len(speeds) < 2 * _WINDOW:
        return False
    return median(speeds[-_WINDOW:]) < _GROWTH * median(speeds[-2 * _WINDOW : -_WINDOW])


async def _passes(run: Run, writer: Hand, combinations: Sequence[tuple[int, int]]) -> list[RawPass]:
    """One pass a combination; at least one, and as many as there is time for."""
    passes: list[RawPass] = []
    for batch, connections in combinations:
        if passes and not run.has_time_for(_PASS_S):
            break
        _, found = await measured(writer, batch, connections)
        run.say(f"bulks of {batch} over {connections}: {found.documents_per_s:,.0f} documents/s")
        passes.append(found)
    return passes


async def measured(writer: Hand, batch: int, connections: int) -> tuple[int, RawPass]:
    """One pass over all the writer's documents: the size of one of them in bytes, and how it went."""
    prepared = await writer.ask(Prepare(batch, connections), Prepared, within_s=_WITHIN_S)
    passed = await writer.ask(Pass(monotonic_ns() + _LEAD_IN_NS), Passed, within_s=_WITHIN_S)
    bulks = spread(passed.bulk_ns)
    assert bulks is not None
    return prepared.document_bytes, RawPass(
        batch=batch,
        connections=connections,
        documents=passed.documents,
        documents_per_s=round(passed.documents / ((passed.ended_ns - passed.began_ns) / 1e9)),
        bulk_p50_ms=bulks.p50_ms,
        bulk_p99_ms=bulks.p99_ms,
        client_cpu_us_per_document=round(passed.cpu_ns / 1_000 / passed.documents, 1),
        items_refused=passed.items_refused,
    )


RAW = Scenario("raw", "How many conditional document writes a second does Elasticsearch take by itself?", run)
