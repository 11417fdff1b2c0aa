"""The safety net under owned lanes: finds what others wrote into them, and searches only then.

Nobody but the owner is to write a lane, yet a bulk of an earlier owner may land late, and a person may write by hand.
One `_stats` request in two seconds tells where all lanes of the replica stand. An advance that holds nothing but own
acknowledged writes leads to nothing; a fence item, a side document and a deletion are own writes like any other. An
advance that holds more is foreign only once the bulks that were in flight have answered, since the checkpoint may be
ahead of their answers. Then one search finds what was written. A write of one's own whose answer was lost looks foreign
once as well, and the search finds nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import structlog
from msgspec import Struct

from ...change_feed import SharedLooks
from ...errors import StoreError
from ...es.sequence_gap import documents_in_gap
from ...ports import Checkpoint, StoredDocument
from .. import codec
from ..lane import Lane
from ..parts import LaneKeeper, Parts

log = structlog.get_logger(__name__)

INTERVAL_MS = 2_000


class _Written(Struct):
    """What tells a lane's documents apart; side documents have no kind."""

    kind: str = ""
    epoch: int = 0
    writer: str = ""


class SafetyNet:
    """One replica's. `pass_once` looks at all open lanes; `run` does so until cancelled.

    `lanes` are those that the replica holds at the moment, by name; who holds them changes it.
    """

    def __init__(
        self,
        *,
        looks: SharedLooks,
        parts: Parts,
        keeper: LaneKeeper,
        lanes: Mapping[str, Lane],
        interval_ms: int = INTERVAL_MS,
    ) -> None:
        self._looks = looks
        self._parts = parts
        self._keeper = keeper
        self._lanes = lanes
        self._interval_ms = interval_ms
        self._identities: dict[Lane, str] = {}

    async def run(self) -> None:
        while True:
            await self._looks.pause(self._interval_ms)
            self._parts.metrics.loop("safety_net")
            try:
                await self.pass_once()
            except StoreError as error:
                self._parts.metrics.loop_failed("safety_net")
                log.warning("safety_net.pass_failed", error=str(error))
            except Exception:
                self._parts.metrics.loop_failed("safety_net")
                log.exception("safety_net.pass_failed")

    async def pass_once(self) -> None:
        """Raises: StoreError; what was not looked at is looked at by the next pass."""
        lanes = [lane for lane in self._lanes.values() if lane.open]
        self._identities = {lane: uuid for lane, uuid in self._identities.items() if lane in lanes}
        if lanes:
            found = await self._looks.look_at([lane.index for lane in lanes])
            await asyncio.gather(*(self._judge(lane, found[lane.index]) for lane in lanes if lane.index in found))

    async def _judge(self, lane: Lane, found: Checkpoint) -> None:
        own = lane.committer.own_writes
        identity = self._identities.setdefault(lane, found.index_uuid)
        if lane.closed:
            return
        if identity != found.index_uuid or found.global_checkpoint < own.known:
            self._keeper.lane_lost(lane, "its index was made anew or has lost writes: all of it is to be read again")
            return
        if own.covers(found.global_checkpoint):
            return
        await lane.committer.in_flight_answered()
        if not (lane.closed or own.covers(found.global_checkpoint)):
            await self._look_into(lane, own.known)
            own.settle(found.global_checkpoint)

    async def _look_into(self, lane: Lane, above_seq_no: int) -> None:
        store = self._parts.store
        self._parts.metrics.gap_search(lane.index)
        await store.refresh(lane.index)
        pages = documents_in_gap(
            store, lane.index, above_seq_no=above_seq_no, not_writer=self._parts.replica_id, page_size=500
        )
        written = 0
        async for page in pages:
            for document in page:
                written += 1
                try:
                    await self._look_at(lane, document)
                except StoreError:
                    raise
                except Exception:
                    # The others are looked at all the same, and this one not again: the lane's writes will meet it.
                    log.exception("safety_net.document_failed", lane=lane.name, id=document.id)
        log.info("safety_net.foreign_writes", lane=lane.name, above_seq_no=above_seq_no, documents=written)

    async def _look_at(self, lane: Lane, document: StoredDocument) -> None:
        """A document that another writer wrote. What the lane writes just now is judged by its own answer."""
        if lane.closed or document.version is None:
            return
        written = _decoded(document)
        if written.kind == "fence" and written.epoch > lane.epoch:
            self._keeper.lane_lost(lane, f"{written.writer} has taken it over under epoch {written.epoch}")
        if written.kind == "starts":
            lane.start_trail.look_again()
        if written.kind != "instance":
            return
        resident = lane.residents.get(document.id)
        if resident is None:
            await self._unknown(lane, document)
        elif resident.changed or resident.in_flight or resident.version is None:
            return
        elif resident.version.seq_no < document.version.seq_no:
            # What can't be read raises here, and memory keeps what it has.
            codec.decode_document(document.source)
            lane.foreign(resident, document)

    async def _unknown(self, lane: Lane, document: StoredDocument) -> None:
        """An instance that memory does not hold: one that rested, a create that came late, or one gone by now."""
        found = await self._parts.store.get(lane.index, document.id)
        if found is not None and found.version == document.version:
            await lane.residency.bring_in([found])


def _decoded(document: StoredDocument) -> _Written:
    try:
        return msgspec.json.decode(document.source, type=_Written)
    except msgspec.MsgspecError:
        return _Written()
