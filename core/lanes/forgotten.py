"""What is left to do when the machine forgets steps: rows that their states made, side documents that only they named.

It forgets the iterations of a loop but the last ones, compensations of items that are done, and what is to be done
again. The rows of their attempts may still be on the way into history, and are stored in full from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.structs import replace

from ..machine.events import AnyEvent, RetryRequested
from ..machine.state import Instance
from . import codec
from .records import attempt_row

if TYPE_CHECKING:
    from .lane import Lane
    from .memory.resident import Resident


def clear_up(lane: Lane, resident: Resident, before: Instance, event: AnyEvent) -> None:
    """See to what the event made the machine forget; `before` is the instance as it was."""
    after = resident.instance
    if after.steps is before.steps:
        return
    gone = before.steps.keys() - after.steps.keys()
    if gone:
        _keep_rows(lane, resident, before, gone)
    if gone or type(event) is RetryRequested:
        named = set(codec.own_refs(after))
        resident.strays += [ref for ref in codec.own_refs(before) if ref not in named]


def _keep_rows(lane: Lane, resident: Resident, before: Instance, gone: set[str]) -> None:
    for row_id, record in list(resident.outbox.items()):
        entry = record.entry
        if entry.record is not None and entry.record.path in gone and entry.row is None:
            row = record.row or attempt_row(resident, before, entry.record)
            resident.put_outbox(row_id, replace(entry, row=Raw(row)), row)
