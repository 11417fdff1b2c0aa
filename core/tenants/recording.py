"""One step of the audit of one tenant: what its documents ask for next. Pure.

A change is recorded by one write: the audit's document takes the new content and the row that tells of it, under the
version that was read. So of all who see a change one records it, and none is recorded twice or left out. Then the row
goes to `workflow-audit`, under an id that only it has, and leaves the document when it is confirmed there.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...tenancy.documents import DocumentError
from ..history_rows.tenant_changes import tenant_change_row
from ..ports import StoredDocument
from .stored import OUTSIDE, Audited, Stamp, Waiting, change_id_of, compiled, content_of, stamp_of


def recorded(before: Audited, found: StoredDocument | None, *, index: str, now_ms: int) -> Audited | None:
    """The audit's document with the tenant's document as its newest content; None where nothing is to be recorded.

    `before` was read before `found`. `index`: where the row is to go.
    """
    content = None if found is None else content_of(found.source)
    if content == before.content:
        return None
    valid = _valid(before, content)
    after = replace(before, revision=before.revision + 1, content=content, valid=valid, deletion=None)
    by, at_ms, address = _author(before, after, Stamp() if found is None else stamp_of(found.source), now_ms)
    row = tenant_change_row(
        before.tenant,
        old=before.content,
        new=content,
        by=by,
        address=address,
        at_ms=at_ms,
        fault=_fault(before.tenant, content),
    )
    return replace(after, outbox=(*before.outbox, Waiting(after.row_id(), index, row.decode())))


def _author(before: Audited, after: Audited, stamp: Stamp, now_ms: int) -> tuple[str, int, str]:
    """Who changed the document, when, from where; nobody is believed whose stamp was written with another change."""
    outside = (OUTSIDE, now_ms, "")
    if after.content is None:
        deletion = before.deletion
        if deletion is None or deletion.revision != before.revision:
            return outside
        return deletion.by, deletion.at_ms, deletion.address
    by, at_ms, address = stamp.updated_by, stamp.updated_at_ms, stamp.address
    wanted = change_id_of(after.tenant, after.revision, after.content, by, at_ms, address)
    return (by, at_ms, address) if stamp.change_id == wanted else outside


def _valid(before: Audited, content: str | None) -> str | None:
    """What stays in force instead of a content that is not valid."""
    if content is None or not isinstance(compiled(before.tenant, content), DocumentError):
        return None
    if before.content is None or isinstance(compiled(before.tenant, before.content), DocumentError):
        return before.valid
    return before.content


def _fault(tenant: str, content: str | None) -> str | None:
    found = None if content is None else compiled(tenant, content)
    return str(found) if isinstance(found, DocumentError) else None
