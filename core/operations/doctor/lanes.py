"""Has every lane an owner that lives?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from ...engine import Engine
from ...es.lines import create_line
from ...lanes.ownership.control import LaneLease
from .found import Found, Repair


class LaneFacts(Struct, frozen=True):
    """One registered lane. `lease` is None where its document is missing. `silent_ms`: for how long it has not changed.

    `open`: it is this replica's, and served; None for another's.
    """

    lane: str
    lease: LaneLease | None
    silent_ms: int
    open: bool | None = None


def judge(lanes: Sequence[LaneFacts], *, lease_ms: int, repairs: Mapping[str, Repair]) -> list[Found]:
    """Pure. `repairs` are by `missing` (to be made by lane) and `nudge`."""
    found: list[Found] = []
    for one in lanes:
        if one.lease is None:
            found.append(
                Found(
                    severity="error",
                    what=f"Lane {one.lane} is registered and has no lease document, so nobody can own it.",
                    way_out="Have it made with --fix; replicas take the lane at once.",
                    repair=repairs[one.lane],
                )
            )
        elif one.lease.owner is None or one.silent_ms >= 2 * lease_ms:
            whose = "has no owner" if one.lease.owner is None else f"is owned by {one.lease.owner}, which is silent"
            found.append(
                Found(
                    severity="error",
                    what=f"Lane {one.lane} {whose}; its instances do not move.",
                    way_out="It is taken by itself within moments where a replica lives; if it stays, the replicas'"
                    " logs say `lane.take_over_failed` and why.",
                    repair=repairs["nudge"],
                )
            )
        elif one.open is False:
            found.append(
                Found(
                    severity="warning",
                    what=f"Lane {one.lane} is being taken over, or given up, at this moment.",
                    way_out="Ask again; if it stays, the log of this replica says `lane.take_over_failed` and why.",
                    left="its owner is at it",
                )
            )
    return found


async def check(engine: Engine) -> list[Found]:
    """Raises: StoreError."""
    control = engine.control
    facts = [
        LaneFacts(
            lane=lane,
            lease=control.lease(lane),
            silent_ms=control.silent_ms(lane),
            open=engine.lanes[lane].open if lane in engine.lanes else None,
        )
        for lane in sorted(control.registry.lanes)
    ]
    repairs = {
        one.lane: Repair(f"made the lease of lane {one.lane}", act=partial(_make, engine, one.lane)) for one in facts
    }
    repairs["nudge"] = Repair("told all replicas to look whose the lane is", act=engine.lanes_changed)
    return judge(facts, lease_ms=engine.settings.lanes.lease_ms, repairs=repairs)


async def _make(engine: Engine, lane: str) -> None:
    """What stands stays. An owner that still holds the lane loses it to a higher epoch, as after a pause."""
    fence = await engine.store.get(engine.names.lane(lane), "fence")
    epoch = 0 if fence is None else msgspec.json.decode(fence.source)["epoch"]
    lines = [create_line(f"lane-{lane}"), msgspec.json.encode(LaneLease(lane=lane, epoch=epoch))]
    await engine.store.bulk(lines, index=engine.names.control)
    await engine.lanes_changed()
