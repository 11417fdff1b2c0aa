"""What stands in the control index of a family's policy, what is in force by it, and the next one after a change. Pure.

A document is `policy:<family>`; where there is none, the default of this release is in force, and a document without a
policy says the same of a family whose policy was given up. The policy is kept as JSON text, so that nothing that people
write in it can break the document. Each change adds the audit row that tells of it to the document's outbox, in the
same write; it leaves there once it stands in `workflow-audit`.

A document that can't be read, or that holds no valid policy, ages nothing: whatever it was meant to say, another policy
may delete what it keeps.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...ilm.errors import IlmError
from ...ilm.policies import Policy, default_policy, differences, parse
from ..history_rows.policy_changes import policy_change_row
from ..ports import StoredDocument, Version
from ..principal import Principal
from .words import less_long

DOCUMENT_MAX_BYTES = 65_536
"""A policy as somebody wrote it."""
OUTBOX_MAX = 20
"""Rows of one family that may wait while the audit trail does not take them: each holds two policies."""


class Waiting(Struct, frozen=True):
    """A row of `workflow-audit` that is not confirmed there: its id, the concrete index it goes to, and its JSON."""

    row_id: str
    index: str
    row: str


class PolicyDocument(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="kind", tag="policy"):
    """One family's. `revision` counts its changes; `since_ms`, when the first one was made, keeps the ids of rows apart
    where the document was lost once. `policy` is None where the default is in force."""

    family: str
    since_ms: int
    revision: int = 0
    policy: str | None = None
    updated_by: str = ""
    updated_at_ms: int = 0
    outbox: tuple[Waiting, ...] = ()


class InForce(Struct, frozen=True):
    """What is in force for a family. `document` and `version` are None where no document stands.

    `policy` is None where `fault` says why the document is not obeyed.
    """

    family: str
    policy: Policy | None
    document: PolicyDocument | None = None
    version: Version | None = None
    fault: str | None = None

    @property
    def source(self) -> Literal["default", "document"]:
        """Where the policy comes from, or should come from."""
        given_up = self.document is not None and self.document.policy is None
        return "default" if self.version is None or given_up else "document"

    @property
    def revision(self) -> int:
        return 0 if self.document is None else self.document.revision


def document_id(family: str) -> str:
    return f"policy:{family}"


def in_force(family: str, found: StoredDocument | None) -> InForce:
    """What is in force by the document that was read."""
    if found is None:
        return InForce(family, default_policy(family))
    try:
        document = msgspec.json.decode(found.source, type=PolicyDocument)
    except (msgspec.MsgspecError, RecursionError) as error:
        return InForce(family, None, None, found.version, f"the document {document_id(family)} can't be read: {error}")
    if document.policy is None:
        return InForce(family, default_policy(family), document, found.version)
    try:
        policy = parse(family, msgspec.json.decode(document.policy))
    except (msgspec.MsgspecError, RecursionError, IlmError) as error:
        return InForce(family, None, document, found.version, str(error))
    return InForce(family, policy, document, found.version)


def changed(before: InForce, policy: Policy | None, *, by: Principal, at_ms: int, index: str) -> PolicyDocument | None:
    """The document that puts this policy in force (None: the default); None where the same is in force already.

    `index`: the concrete index that the row of this change goes to.
    """
    source = "default" if policy is None else "document"
    after = default_policy(before.family) if policy is None else policy
    if before.policy is not None and source == before.source and not differences(before.policy, after):
        return None
    old = before.document or PolicyDocument(family=before.family, since_ms=at_ms)
    document = replace(
        old,
        revision=old.revision + 1,
        policy=None if policy is None else msgspec.json.encode(policy.document()).decode(),
        updated_by=by.name,
        updated_at_ms=at_ms,
    )
    row = policy_change_row(
        before.family,
        old=None if before.policy is None else before.policy.document(),
        new=after.document(),
        to_default=policy is None,
        shorter=less_long(before.policy, after),
        by=by,
        at_ms=at_ms,
    )
    row_id = f"policy:{before.family}:{document.since_ms}:{document.revision}"
    return replace(document, outbox=(*old.outbox, Waiting(row_id, index, row.decode())))
