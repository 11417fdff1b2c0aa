"""Taking a lane over: fence it, see all that was written before the fence, and load what can't wait.

The order is the safety argument. The fence is written first, so nothing that an earlier owner sends after it is
accepted as a whole; then the lane's global checkpoint is awaited, so everything before the fence is on every copy; then
a refresh makes it visible, and only then is the lane read. Leases that an older epoch wrote after the fence were never
answered and are revoked; every other live lease gets its full time anew, by this owner's own clock.

What is read is what an owner has to hold, so a take-over costs what is under way and not what waits. The rest comes in
as it is needed (`residency`), and what an earlier owner writes after the refresh is found by the `safety_net`.
"""

from __future__ import annotations

import asyncio

import structlog

from ...errors import StoreError, Unavailable
from ...es.held_instances import held_documents
from ...es.lines import fence_lines
from ...es.ready_lines import lines_of, ready_lines_body
from ...ports import Version
from ..lane import Lane

log = structlog.get_logger(__name__)

_CHECKPOINT_POLL_S = 0.005
_LINES_A_PAGE = 5_000


async def take_over(lane: Lane) -> None:
    """Make the lane's instances this replica's own; afterwards the lane may be opened.

    Raises: Unavailable when a higher epoch holds the fence; StoreError.
    """
    fence = await _raise_fence(lane)
    lane.fenced_at = fence.seq_no
    lane.committer.own_writes.settle(fence.seq_no)
    await _reached(lane, fence.seq_no)
    store = lane.parts.store
    await store.refresh(lane.index)
    lines = await _find_lines(lane)
    await lane.instances.take_over()
    await lane.admission.take_over()
    await lane.groups.take_over()
    async for page in held_documents(store, lane.index):
        await lane.residency.bring_in(page)
    log.info("lane.taken", lane=lane.name, epoch=lane.epoch, held=len(lane.residents), lines=lines)


async def _raise_fence(lane: Lane) -> Version:
    (item,) = await lane.parts.store.bulk(fence_lines(lane.epoch, lane.parts.replica_id), index=lane.index)
    if item.status == 409:
        raise Unavailable(f"lane {lane.name} has an owner of a higher epoch than {lane.epoch}")
    if item.version is None:
        raise StoreError(f"the fence of lane {lane.name} could not be written: {item.status} {item.error_reason}")
    return item.version


async def _reached(lane: Lane, seq_no: int) -> None:
    """Wait until every copy of the lane holds all writes up to this one."""
    while True:
        found = await lane.parts.store.checkpoint(lane.index)
        if found.global_checkpoint >= seq_no:
            # The refresh that follows shows all of it.
            lane.committer.own_writes.settle(found.global_checkpoint)
            return
        await asyncio.sleep(_CHECKPOINT_POLL_S)


async def _find_lines(lane: Lane) -> int:
    """Learn which tenants have ready steps of which capabilities; returns how many lines there are."""
    after: dict[str, str] | None = None
    count = 0
    while True:
        page = await lane.parts.store.search(lane.index, ready_lines_body(after=after, size=_LINES_A_PAGE))
        assert page.aggregations is not None
        lines, after = lines_of(page.aggregations)
        for tenant, capability in lines:
            lane.windows.found(tenant, capability)
        count += len(lines)
        if len(lines) < _LINES_A_PAGE:
            return count
