"""What becomes of a changed instance in a bulk: its lines, and what has to be known when they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...es.lines import create_line, delete_line, index_line
from ...settings import LimitSettings
from .. import codec
from ..memory.resident import Answer, Named, Pending, Resident


@dataclass(slots=True, eq=False)
class Write:
    """One instance's part of a bulk: its lines, and who waits for it."""

    resident: Resident
    write_id: str
    lines: Sequence[bytes]
    size_bytes: int
    items: int = 1
    side_count: int = 0
    tokens: int = 0
    delete: bool = False
    answers: Sequence[Answer] = ()
    sides: tuple[tuple[str, bytes], ...] = ()
    named: Named = ()
    intents: Sequence[Pending] = ()
    strays: int = 0
    freed: int = 0


@dataclass(slots=True, eq=False)
class TooLarge:
    """An instance whose document may not be written, and who waited for it."""

    reason: str
    answers: Sequence[Answer]


class Drafts:
    """One owner's. Each write has an id that is never used again: the writer, its epoch, and a number."""

    def __init__(self, *, epoch: int, writer: str, limits: LimitSettings) -> None:
        self._epoch = epoch
        self._writer = writer
        self._limits = limits
        self._writes = 0

    def write(self, resident: Resident, now_ms: int) -> Write | TooLarge:
        """The instance as it is now; it is in flight from here on, unless it is too large."""
        self._writes += 1
        write_id = f"{self._writer}.{self._epoch}.{self._writes}"
        # What the document as it stands does not refer to may go; what this one leaves is for the next.
        gone = resident.strays[: resident.strays_stored]
        del resident.strays[: resident.strays_stored]
        resident.strays_stored = 0
        document = self._document(resident, write_id, now_ms)
        answers, resident.answers = resident.answers, []
        resident.changed = False
        if len(document) > self._limits.document_max_bytes:
            reason = (
                f"its document has {len(document)} bytes; at most {self._limits.document_max_bytes} are allowed "
                "(setting document_max_bytes)"
            )
            return TooLarge(reason, answers)
        resident.attempted += (write_id,)
        version = resident.version
        id = resident.id
        action = create_line(id) if version is None else index_line(id, version.seq_no, version.primary_term)
        lines: Sequence[bytes] = (action, document)
        size_bytes = len(document)
        sides: tuple[tuple[str, bytes], ...] = ()
        if resident.side_writes:
            sides, resident.side_writes = resident.side_writes, ()
            lines = [line for ref, body in sides for line in (create_line(ref), body)] + [action, document]
            size_bytes = sum(map(len, lines))
        if gone:
            lines = [*lines, *map(delete_line, gone)]
        resident.in_flight = True
        named = resident.named_records() if resident.outbox else ()
        return Write(
            resident,
            write_id,
            lines,
            size_bytes,
            items=len(sides) + 1 + len(gone),
            side_count=len(sides),
            tokens=resident.instance.tokens,
            answers=answers,
            sides=sides,
            named=named,
            intents=tuple(resident.intents) if resident.intents else (),
            strays=len(resident.strays),
            freed=len(resident.freed),
        )

    def deletion(self, resident: Resident) -> Write | None:
        """The end of the instance's document and of its side documents; None for one that never had any."""
        version = resident.version
        if version is None:
            return None
        resident.changed = False
        resident.in_flight = True
        lines = [delete_line(ref) for ref in (*codec.own_refs(resident.instance), *resident.strays)]
        lines.append(delete_line(resident.id, version.seq_no, version.primary_term))
        count = len(lines)
        return Write(resident, "", lines, sum(map(len, lines)), count, count - 1, delete=True)

    def _document(self, resident: Resident, write_id: str, now_ms: int) -> bytes:
        ready = resident.ready
        resident.written_held = bool(resident.leases or resident.outbox or resident.finished or resident.intents)
        return codec.encode_document(
            resident.instance,
            write_id=write_id,
            epoch=self._epoch,
            writer=self._writer,
            answered_tokens=resident.acknowledged_tokens,
            updated_at_ms=now_ms,
            wake_at_ms=resident.wake_at_ms,
            ready=[step.capability for step in ready.values()] if ready else [],
            rank=min([step.rank for step in ready.values()]) if ready else None,
            held=resident.written_held,
            log_parts=resident.log_parts,
            log=resident.log,
            outbox=[record.encoded for record in resident.outbox.values()] if resident.outbox else (),
            strays=resident.strays,
            intents=[pending.encoded for pending in resident.intents] if resident.intents else (),
        )
