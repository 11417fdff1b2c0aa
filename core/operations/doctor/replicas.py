"""What replicas say of themselves: their clocks, and how far their history lags.

Each is asked what time it is. Its answer was given at some moment between question and answer, so its clock is off by
no less than what lies outside of that round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from ...engine import Engine
from ...errors import LeaseholdError
from ...peers import Peers, Vitals, VitalsAt
from ...principal import Principal
from .found import Found

_SKEW_WARNS_MS = 1_000
_SKEW_HARMS_MS = 60_000


class Heard(Struct, frozen=True):
    """What one replica answered; `vitals` is None where it did not. Times are of this replica's wall clock."""

    replica: str
    address: str
    asked_at_ms: int
    answered_at_ms: int
    vitals: Vitals | None = None
    started_at_ms: int = 0


def skew_ms(heard: Heard) -> int:
    """By how much its clock is ahead (or, below zero, behind) at least."""
    if heard.vitals is None:
        # It can't have been started later than now.
        return max(0, heard.started_at_ms - heard.answered_at_ms)
    ahead = heard.vitals.now_ms - heard.answered_at_ms
    behind = heard.vitals.now_ms - heard.asked_at_ms
    return ahead if ahead > 0 else min(behind, 0)


def judge_clocks(everybody: Sequence[Heard]) -> list[Found]:
    """Pure. This replica's own clock is the measure, which may be the one that is wrong."""
    found = []
    for heard in everybody:
        skew = skew_ms(heard)
        if abs(skew) > _SKEW_WARNS_MS:
            side = "ahead of" if skew > 0 else "behind"
            found.append(
                Found(
                    severity="error" if abs(skew) > _SKEW_HARMS_MS else "warning",
                    what=f"The clock of replica {heard.replica} at {heard.address} is {abs(skew) / 1_000:.1f} s {side}"
                    " this replica's: timers, deadlines and retention come early or late by that much.",
                    way_out="Have both machines keep their time (NTP, chrony); nothing has to be restarted.",
                    left="only the machine can set its clock",
                )
            )
    return found


def judge_answers(everybody: Sequence[Heard]) -> list[Found]:
    """Pure. Replicas that live, by their records, and do not answer."""
    return [
        Found(
            severity="error",
            what=f"Replica {heard.replica} renews its record and does not answer at {heard.address}: requests for its"
            " lanes' instances get 503.",
            way_out="See whether replicas reach each other's addresses (leasehold lanes list shows them).",
            left="only the network, or that process, can be the cause",
        )
        for heard in everybody
        if heard.vitals is None
    ]


def judge_lag(everybody: Sequence[Heard], *, max_records: int, max_ms: int) -> list[Found]:
    """Pure. A quarter of what closes admission is told as a warning."""
    found = []
    for heard in everybody:
        vitals = heard.vitals
        if vitals is None:
            continue
        over = vitals.lag_records > max_records or vitals.lag_ms > max_ms
        if over or 4 * vitals.lag_records > max_records or 4 * vitals.lag_ms > max_ms:
            found.append(
                Found(
                    severity="error" if over else "warning",
                    what=f"Replica {heard.replica} waits for {vitals.lag_records} rows of history to be confirmed, the"
                    f" oldest since {vitals.lag_ms / 1_000:.0f} s" + ("; starts get 429." if over else "."),
                    way_out="Its logs say `history.delivery_failed` or `history.record_failed`, with the reason;"
                    " nothing is lost meanwhile.",
                    left="rows are delivered as soon as Elasticsearch takes them",
                )
            )
    return found


async def hear(engine: Engine, peers: Peers) -> list[Heard]:
    """Ask all replicas, this one included."""
    clock, history = engine.clock, engine.history
    now_ms = clock.now_ms()
    own = Vitals(now_ms=now_ms, lag_records=history.lag_records, lag_ms=history.lag_ms)
    others = [one for one in engine.control.replicas() if one.replica != engine.replica_id]
    asked = Principal(engine.replica_id, tenant="")

    async def ask(replica: str, address: str, started_at_ms: int) -> Heard:
        asked_at_ms = clock.now_ms()
        vitals: Vitals | None = None
        with suppress(LeaseholdError):
            vitals = (await peers.ask(address, VitalsAt(asked))).vitals
        return Heard(replica, address, asked_at_ms, clock.now_ms(), vitals, started_at_ms)

    heard = await asyncio.gather(*(ask(one.replica, one.address, one.started_at_ms) for one in others))
    address = next((one.address for one in engine.control.replicas() if one.replica == engine.replica_id), "")
    return [Heard(engine.replica_id, address, now_ms, now_ms, own), *heard]
