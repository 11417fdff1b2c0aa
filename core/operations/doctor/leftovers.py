"""What should have gone by itself: shares above a quota, and what crashes have left behind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec import Struct

from ....tenancy.shares import QuotaDocument
from ...engine import Engine
from ...es.sweeps import of_kind, sweep
from .found import Found, Repair, listed

_PAGE = 500
_STARTS_WITHIN_MS = 60_000
_decode = msgspec.json.Decoder(QuotaDocument).decode


class QuotaFacts(Struct, frozen=True):
    """A quota's document, and those lanes of it that are gone."""

    id: str
    given: int
    limit: int
    gone: list[str] = []


def judge_quotas(quotas: Sequence[QuotaFacts], *, repair: Repair) -> list[Found]:
    """Pure."""
    found: list[Found] = []
    for one in quotas:
        if one.given > one.limit:
            found.append(
                Found(
                    severity="warning",
                    what=f"Lanes have {one.given} units of {one.id}, which allows {one.limit}.",
                    way_out="After a quota was lowered it comes down as running work ends, and nothing new begins until"
                    " then; leasehold tenants show says what is in force.",
                    left="units that are in use can't be taken from running work",
                )
            )
        if one.gone:
            found.append(
                Found(
                    severity="warning",
                    what=f"{one.id} names lanes that are gone: {listed(one.gone)}.",
                    way_out="Retention strikes them off at its next pass, and --fix does now.",
                    repair=repair,
                )
            )
    return found


def judge_orphans(sides: dict[str, int], records: Sequence[str], *, repair: Repair) -> list[Found]:
    """Pure. `sides`: orphans by lane of this replica's; `records`: replicas that are not listed."""
    found = [
        Found(
            severity="warning",
            what=f"Lane {lane} holds {count} large value{'' if count == 1 else 's'} whose instances are gone.",
            way_out="Retention clears what has stood so for a minute with its next pass; nothing has to be done.",
            repair=repair,
        )
        for lane, count in sorted(sides.items())
        if count
    ]
    if records:
        found.append(
            Found(
                severity="warning",
                what=f"Records of replicas that are not listed stand in the control index: {listed(list(records))}.",
                way_out="Retention clears what has stood so for a minute; one that signs on just now lists itself.",
                repair=repair,
            )
        )
    return found


async def check_quotas(engine: Engine) -> list[Found]:
    """Raises: StoreError."""
    quotas: list[QuotaFacts] = []
    async for page in sweep(engine.store, engine.names.control, [of_kind("quota")], fields=None, page_size=_PAGE):
        for hit in page:
            document = _decode(hit.source)
            gone = sorted({lane for lane in (*document.shares, *document.wants) if engine.lane_removed(lane)})
            quotas.append(QuotaFacts(hit.id, document.given, document.limit, gone))
    return judge_quotas(quotas, repair=_clear(engine))


async def check_orphans(engine: Engine) -> list[Found]:
    """Raises: StoreError."""
    sides = {lane.name: await engine.retention.sides.orphans(lane) for lane in list(engine.lanes.values()) if lane.open}
    # One that is starting is listed in a moment.
    before_ms = engine.clock.now_ms() - _STARTS_WITHIN_MS
    unlisted = await engine.retention.left_behind.unlisted()
    records = [record.replica for record, _ in unlisted if record.started_at_ms < before_ms]
    return judge_orphans(sides, records, repair=_clear(engine))


def _clear(engine: Engine) -> Repair:
    return Repair("made a pass of this replica's retention", act=partial(_pass, engine))


async def _pass(engine: Engine) -> None:
    """What is clear is cleared, and searches see it."""
    await engine.retention.left_behind.pass_once()
    await engine.store.refresh(engine.names.control)
    for lane in list(engine.lanes.values()):
        if lane.open:
            await engine.retention.sides.pass_over(lane)
            await engine.store.refresh(lane.index)
