"""From documents to residents: how an instance comes into memory, whoever asked for it.

`prepare` does all that has to wait (large values, plans, a look into history), `install` all that must not be
interrupted. What it brings may be older than what memory holds or has held: a search sees the last refresh only. So an
instance that is in memory already, or whose end `departed` names with a later version, is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from msgspec import Struct

from ....claim.wire import ErrorInfo
from ...errors import NotFound, StoreRejected
from ...es.finished import finished_body
from ...history_records import CallsRecord
from ...history_rows import instance_row_id
from ...machine.events import Released
from ...machine.state import Instance, StepStatus
from ...ports import Store, StoredDocument, Version
from .. import codec
from ..children.orphans import unwanted
from ..codec import Bookkeeping
from ..parts import Parts
from ..remembering import name_of
from .resident import Resident

if TYPE_CHECKING:
    from ..lane import Lane

log = structlog.get_logger(__name__)

_IDS_A_SEARCH = 1_000


class Prepared(Struct):
    """An instance that is ready to come into memory.

    `in_history`: the row of its end stands in history. `orphan`: it is a child that its parent does not ask for.
    """

    instance: Instance
    bookkeeping: Bookkeeping
    version: Version
    in_history: bool = False
    orphan: bool = False


async def prepare(lane: Lane, documents: Iterable[StoredDocument], departed: Mapping[str, int]) -> list[Prepared]:
    """The instances of those documents that are not in memory. One that can't be rebuilt is left alone, with a log.

    Raises: StoreError.
    """
    decoded: dict[str, Prepared] = {}
    for document in documents:
        if document.id not in lane.residents and document.id not in decoded and _is_news(document, departed):
            one = _decoded(lane, document)
            if one is not None:
                decoded[document.id] = one
    known = [one for one in decoded.values() if await _has_plan(lane, one)]
    instances = await with_sides(lane.parts.store, lane.index, [one.instance for one in known])
    for one, instance in zip(known, instances, strict=True):
        one.instance = instance
    await _mark_ended(lane, known)
    return known


def install(lane: Lane, prepared: Sequence[Prepared], departed: Mapping[str, int]) -> None:
    """Make them residents: their ready steps are offered, their leases and timers run, their history is delivered."""
    for one in prepared:
        id = one.instance.id
        if lane.windows.closed or id in lane.residents or one.version.seq_no <= departed.get(id, -1):
            continue
        resident = lane.residents[id] = resident_of(lane, one.instance, one.bookkeeping, one.version)
        lane.instances.loaded(resident, one.bookkeeping)
        if one.in_history and not resident.finished:
            log.warning("lane.late_create", lane=lane.name, instance_id=id)
            lane.committer.delete(resident)
            continue
        if one.in_history:
            # It ended before anything was leased. Its other rows, such as who cancelled it, may not stand yet.
            resident.outbox.pop(instance_row_id(one.instance), None)
        try:
            revoke_unanswered(lane, resident, one.bookkeeping)
            lane.install(resident)
            if one.orphan:
                lane.children.end_orphan(resident)
        except Exception as error:
            log.exception("lane.poison_instance", lane=lane.name, instance_id=id)
            lane.leave_alone(resident)
            if one.instance.parent_id is not None:
                lane.children.fail_step_of(one.instance, ErrorInfo("internal", f"it could not be loaded: {error!r}"))


def resident_of(lane: Lane, instance: Instance, bookkeeping: Bookkeeping, version: Version) -> Resident:
    """A resident as the document describes it; its plan must be in the catalog already. Raises: NotFound."""
    plan = lane.parts.catalog.cached_plan(instance.definition_tenant, instance.workflow, instance.version)
    resident = Resident(lane, instance, plan)
    resident.version = version
    resident.acknowledged_write_id = bookkeeping.write_id
    resident.acknowledged_tokens = instance.tokens
    resident.log_parts = bookkeeping.log_parts
    resident.written_held = bookkeeping.held
    for entry in bookkeeping.log:
        resident.append_log(bytes(entry))
    for outbox_entry in bookkeeping.outbox:
        row = None if outbox_entry.row is None else codec.encode_json(outbox_entry.row)
        resident.put_outbox(row_id_of(instance, outbox_entry), outbox_entry, row)
    resident.strays = list(bookkeeping.strays)
    resident.strays_stored = len(bookkeeping.strays)
    for intent in bookkeeping.intents:
        resident.put_intent(intent, stored=True)
    return resident


def row_id_of(instance: Instance, entry: codec.OutboxEntry) -> str:
    """The id of an outbox record in history: derived, so a repeat has it too."""
    if entry.kind == "instance":
        return instance_row_id(instance)
    if entry.kind == "share":
        return instance.id
    if entry.kind == "events":
        return f"{instance.id}:events:{entry.part}"
    if entry.kind == "audit":
        return f"{instance.id}:audit:{entry.part}.{entry.count}"
    if entry.kind == "calls":
        assert isinstance(entry.told, CallsRecord)
        return f"{instance.id}:{entry.told.path}:{entry.told.attempt}:calls:{entry.part}"
    if entry.kind == "memory":
        name = name_of(instance)
        assert name is not None
        return name.id
    assert entry.record is not None
    return f"{instance.id}:{entry.record.path}:{entry.record.attempt}"


async def side_values(store: Store, index: str, instances: Sequence[Instance]) -> dict[str, Any]:
    """The values of the instances' side documents by id, all read in one request; what has gone is left out."""
    # Children of one foreach share what they see of the outside.
    refs = list(dict.fromkeys(ref for instance in instances for ref in codec.side_refs(instance)))
    documents = await store.mget(index, refs) if refs else []
    return {
        ref: codec.decode_side(document.source)
        for ref, document in zip(refs, documents, strict=True)
        if document is not None
    }


async def with_sides(store: Store, index: str, instances: list[Instance]) -> list[Instance]:
    """The instances with the values of their side documents; one that has gone counts as null."""
    values = await side_values(store, index, instances)
    return [_with_values(instance, values) for instance in instances]


async def read_whole(store: Store, index: str, instance_id: str) -> tuple[Instance, Bookkeeping] | None:
    """A live instance with its large values, as of one moment, for readers beside its owner; None without a document.

    Its values are documents of their own, so it may move on between the reads: where one of them has gone, it is read
    again from the start, until it stands still. A lane that has been removed holds none. Raises: StoreError.
    """
    try:
        return await _read_whole(store, index, instance_id)
    except StoreRejected as error:
        if error.status == 404:
            return None
        raise


async def _read_whole(store: Store, index: str, instance_id: str) -> tuple[Instance, Bookkeeping] | None:
    before: Version | None = None
    while True:
        document = await store.get(index, instance_id)
        if document is None:
            return None
        instance, bookkeeping = codec.decode_document(document.source)
        values = await side_values(store, index, [instance])
        if document.version == before or values.keys() >= set(codec.side_refs(instance)):
            return _with_values(instance, values), bookkeeping
        before = document.version


def _with_values(instance: Instance, values: dict[str, Any]) -> Instance:
    refs = codec.side_refs(instance)
    return codec.with_side_values(instance, {**dict.fromkeys(refs), **values}) if refs else instance


async def finished_ids(parts: Parts, ids: Sequence[str]) -> set[str]:
    """Which of these instances stand in history, as of its last refresh."""
    found: set[str] = set()
    for start in range(0, len(ids), _IDS_A_SEARCH):
        body = finished_body(ids[start : start + _IDS_A_SEARCH])
        found.update(hit.id for hit in (await parts.store.search(parts.names.instances, body)).hits)
    return found


def revoke_unanswered(lane: Lane, resident: Resident, bookkeeping: Bookkeeping) -> None:
    """Take back the leases that an older epoch granted in its last write of this instance, after the fence.

    That write's bulk was refused at the fence, so nobody was told of them; an older lease in the same document was
    acknowledged before and stays.
    """
    version = resident.version
    assert version is not None
    if bookkeeping.epoch >= lane.epoch or version.seq_no < lane.fenced_at:
        return
    for path, step in resident.instance.steps.items():
        if step.status is StepStatus.CLAIMED and step.token > bookkeeping.answered_tokens:
            lane.apply(resident, Released(lane.parts.clock.now_ms(), path, step.token))


def _is_news(document: StoredDocument, departed: Mapping[str, int]) -> bool:
    """Whether a document is not one that memory knows to be deleted."""
    assert document.version is not None
    return document.version.seq_no > departed.get(document.id, -1)


def _decoded(lane: Lane, document: StoredDocument) -> Prepared | None:
    """None for a document that is no instance's as this release writes it: it is left alone, and the lane goes on."""
    assert document.version is not None
    try:
        return Prepared(*codec.decode_document(document.source), document.version)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        log.error("lane.document_unreadable", lane=lane.name, id=document.id, error=str(error))
        return None


async def _has_plan(lane: Lane, one: Prepared) -> bool:
    instance = one.instance
    try:
        await lane.parts.catalog.plan(instance.definition_tenant, instance.workflow, instance.version)
    except NotFound as error:
        log.error("lane.instance_without_definition", lane=lane.name, instance_id=instance.id, error=str(error))
        if instance.parent_id is not None:
            lane.children.fail_step_of(instance, ErrorInfo("workflow_not_found", str(error)))
        return False
    return True


def _unleased(instance: Instance) -> bool:
    """Whether the document may be the first one of its instance: no token was given out since it was created."""
    return instance.tokens in (0, instance.created_at_ms) or instance.redrives > 0


async def _mark_ended(lane: Lane, prepared: Sequence[Prepared]) -> None:
    """A create that arrived after its instance had finished elsewhere must not run again: history knows its end.

    Its document was deleted only after history had been refreshed, so history needs no refresh to tell. What this
    owner wrote itself is no such create. One that was brought back has tokens of its first run; that it may have
    ended since, its next row says.
    """
    fresh = [one for one in prepared if _unleased(one.instance) and one.bookkeeping.epoch < lane.epoch]
    if fresh:
        finished = await finished_ids(lane.parts, [instance_row_id(one.instance) for one in fresh])
        for one in fresh:
            one.in_history = instance_row_id(one.instance) in finished
        children = [one for one in fresh if one.instance.parent_id is not None and not one.in_history]
        alone = await unwanted(lane, [one.instance for one in children]) if children else set()
        for one in children:
            one.orphan = one.instance.id in alone
