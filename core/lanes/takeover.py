"""Taking a lane over: fence it, see all that was written before the fence, and rebuild what memory holds of it.

The order is the safety argument. The fence is written first, so nothing that an earlier owner sends after it is
accepted as a whole; then the lane's global checkpoint is awaited, so everything before the fence is on every copy; then
a refresh makes it visible, and only then is the lane read. Leases that an older epoch wrote after the fence were never
answered and are revoked; every other live lease gets its full time anew, by this owner's own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from ..errors import NotFound, StoreError, Unavailable
from ..es.finished import finished_body
from ..es.lines import fence_lines
from ..es.scan import documents_after
from ..machine.events import Released
from ..machine.state import Instance, StepStatus
from ..ports import Store, StoredDocument, Version
from . import codec
from .codec import Bookkeeping
from .lane import Lane
from .parts import Parts
from .resident import Resident

log = structlog.get_logger(__name__)

_PAGE = 500
_IDS_A_SEARCH = 1_000
_CHECKPOINT_POLL_S = 0.005


async def take_over(lane: Lane) -> None:
    """Make the lane's instances this replica's own; afterwards the lane may be opened.

    Raises: Unavailable when a higher epoch holds the fence; StoreError.
    """
    fence = await _raise_fence(lane)
    await _reached(lane, fence.seq_no)
    await lane.parts.store.refresh(lane.index)
    loaded = await _read_all(lane)
    await _drop_late_creates(lane, loaded)
    for resident, bookkeeping, version in loaded:
        if resident.id in lane.residents:
            try:
                if version.seq_no > fence.seq_no:
                    revoke_unanswered(lane, resident, bookkeeping)
                lane.install(resident)
            except Exception:
                log.exception("lane.poison_instance", lane=lane.name, instance_id=resident.id)
                lane.leave_alone(resident)
    log.info("lane.taken", lane=lane.name, epoch=lane.epoch, instances=len(lane.residents))


def resident_of(lane: Lane, instance: Instance, bookkeeping: Bookkeeping, version: Version) -> Resident:
    """A resident as the document describes it; its plan must be in the catalog already. Raises: NotFound."""
    plan = lane.parts.catalog.cached_plan(instance.definition_tenant, instance.workflow, instance.version)
    resident = Resident(lane, instance, plan)
    resident.version = version
    resident.acknowledged_write_id = bookkeeping.write_id
    resident.acknowledged_tokens = instance.tokens
    resident.log_parts = bookkeeping.log_parts
    for entry in bookkeeping.log:
        resident.append_log(bytes(entry))
    for outbox_entry in bookkeeping.outbox:
        resident.put_outbox(row_id_of(instance.id, outbox_entry), outbox_entry, None)
    return resident


def row_id_of(instance_id: str, entry: codec.OutboxEntry) -> str:
    """The id of an outbox record in history: derived, so a repeat has it too."""
    if entry.kind == "instance":
        return instance_id
    if entry.kind == "events":
        return f"{instance_id}:events:{entry.part}"
    assert entry.record is not None
    return f"{instance_id}:{entry.record.path}:{entry.record.attempt}"


async def with_sides(store: Store, index: str, instances: list[Instance]) -> list[Instance]:
    """The instances with the values of their side documents, all read in one request."""
    refs = [ref for instance in instances for ref in codec.side_refs(instance)]
    if not refs:
        return instances
    documents = await store.mget(index, refs)
    values = {
        ref: None if document is None else codec.decode_side(document.source)
        for ref, document in zip(refs, documents, strict=True)
    }
    return [codec.with_side_values(instance, values) for instance in instances]


async def finished_ids(parts: Parts, ids: Sequence[str]) -> set[str]:
    """Which of these instances stand in history, as of now."""
    await parts.store.refresh(parts.names.instances)
    found: set[str] = set()
    for start in range(0, len(ids), _IDS_A_SEARCH):
        body = finished_body(ids[start : start + _IDS_A_SEARCH])
        found.update(hit.id for hit in (await parts.store.search(parts.names.instances, body)).hits)
    return found


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


async def _read_all(lane: Lane) -> list[tuple[Resident, Bookkeeping, Version]]:
    loaded: list[tuple[Resident, Bookkeeping, Version]] = []
    async for page in documents_after(lane.parts.store, lane.index, page_size=_PAGE):
        decoded = [(document, *parts) for document in page if (parts := _decoded(lane, document)) is not None]
        instances = await with_sides(lane.parts.store, lane.index, [instance for _, instance, _ in decoded])
        for (document, _, bookkeeping), instance in zip(decoded, instances, strict=True):
            resident = await _resident_or_none(lane, document, instance, bookkeeping)
            if resident is not None and document.version is not None:
                lane.residents[resident.id] = resident
                loaded.append((resident, bookkeeping, document.version))
    return loaded


def _decoded(lane: Lane, document: StoredDocument) -> tuple[Instance, Bookkeeping] | None:
    """None for a document that is no instance's as this release writes it: it is left alone, and the lane goes on."""
    try:
        return codec.decode_document(document.source)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        log.error("lane.document_unreadable", lane=lane.name, id=document.id, error=str(error))
        return None


async def _resident_or_none(
    lane: Lane, document: StoredDocument, instance: Instance, bookkeeping: Bookkeeping
) -> Resident | None:
    """An instance that can't be rebuilt is left alone, and the lane goes on."""
    assert document.version is not None
    try:
        await lane.parts.catalog.plan(instance.definition_tenant, instance.workflow, instance.version)
        return resident_of(lane, instance, bookkeeping, document.version)
    except NotFound as error:
        log.error("lane.instance_without_definition", lane=lane.name, instance_id=instance.id, error=str(error))
        return None


async def _drop_late_creates(lane: Lane, loaded: list[tuple[Resident, Bookkeeping, Version]]) -> None:
    """A create that arrived after its instance had finished elsewhere must not run again: history knows its id."""
    fresh = [resident for resident, _, _ in loaded if resident.instance.tokens == 0 and not resident.finished]
    if not fresh:
        return
    finished = await finished_ids(lane.parts, [resident.id for resident in fresh])
    for resident in fresh:
        if resident.id in finished:
            log.warning("lane.late_create", lane=lane.name, instance_id=resident.id)
            lane.committer.delete(resident)
            lane.residents.pop(resident.id)


def revoke_unanswered(lane: Lane, resident: Resident, bookkeeping: Bookkeeping) -> None:
    """Take back the leases that an older epoch granted in its last write of this instance, after the fence.

    That write's bulk was refused at the fence, so nobody was told of them; an older lease in the same document was
    acknowledged before and stays.
    """
    if bookkeeping.epoch >= lane.epoch:
        return
    for path, step in resident.instance.steps.items():
        if step.status is StepStatus.CLAIMED and step.token > bookkeeping.answered_tokens:
            lane.apply(resident, Released(lane.parts.clock.now_ms(), path, step.token))
