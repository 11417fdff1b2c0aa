"""What stands in the tenants index: documents as people wrote them, and beside each the one that its audit keeps.

A document's content is what somebody wants to be in force: the document without bookkeeping, as JSON text with sorted
keys, so that two of them can be compared. `Audited` says up to which content all changes are recorded; the rows that it
holds are on their way to `workflow-audit`, as outboxes of instances are. Its content is text, so that nothing which
people write can break it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from msgspec import Struct

from ...tenancy.documents import DEPLOYMENT, DeploymentRules, DocumentError, Fault, deployment_rules, tenant_rules
from ...tenancy.documents import without_bookkeeping as _without_bookkeeping
from ...tenancy.rules import TenantRules

AUDITED_PREFIX = "audited:"
BEGAN_ID = "audited:"
"""The id of `Began`: an audit document of no tenant."""
DOCUMENT_MAX_BYTES = 262_144
OUTSIDE = "(outside the API)"

NAME_ALLOWED = "1 to 128 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_encode = msgspec.json.Encoder(order="deterministic").encode


class Stamp(Struct, frozen=True):
    """Who wrote a document through the API, and when. `change_id` vouches for it: see `change_id_of`."""

    updated_by: str = ""
    updated_at_ms: int = 0
    change_id: str = ""

    @property
    def address(self) -> str:
        """Where the request came from, as far as is known."""
        return self.change_id.partition("@")[2]


class Waiting(Struct, frozen=True):
    """A row of `workflow-audit` that is not confirmed there: its id, the concrete index it goes to, and its JSON."""

    row_id: str
    index: str
    row: str


class Deletion(Struct, frozen=True):
    """Somebody is about to delete the document through the API, as it stands at `revision`."""

    by: str
    at_ms: int
    revision: int
    address: str = ""


class Began(Struct, frozen=True, tag_field="kind", tag="began"):
    """When the index was first seen, in wall time: sequence numbers begin anew in an index that is made again."""

    at_ms: int


class Audited(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="audited"):
    """One tenant's. `revision` counts its changes; `content` is the last one recorded, None after a deletion.

    `since_ms`, when the first change was recorded, keeps the ids of rows apart where all this was deleted once.
    `valid` is the last valid content where `content` is not.
    """

    tenant: str
    since_ms: int
    revision: int = 0
    content: str | None = None
    valid: str | None = None
    outbox: tuple[Waiting, ...] = ()
    deletion: Deletion | None = None

    @property
    def id(self) -> str:
        return AUDITED_PREFIX + self.tenant

    def row_id(self) -> str:
        return f"tenant:{self.tenant}:{self.since_ms}:{self.revision}"


def audited_id(tenant: str) -> str:
    return AUDITED_PREFIX + tenant


def audited_tenant(id: str) -> str | None:
    """Whose audit keeps the document of that id; None where it is a tenant's own."""
    return id.removeprefix(AUDITED_PREFIX) if id.startswith(AUDITED_PREFIX) else None


def began_of(source: bytes) -> int | None:
    """None where somebody broke it."""
    try:
        return msgspec.json.decode(source, type=Began).at_ms
    except msgspec.MsgspecError:
        return None


def audited_of(source: bytes) -> Audited | None:
    """None where somebody broke it."""
    try:
        return msgspec.json.decode(source, type=Audited)
    except msgspec.MsgspecError:
        return None


def is_name(id: str) -> bool:
    """Whether a document of that id is a tenant's, or the deployment's."""
    return id == DEPLOYMENT or _NAME.fullmatch(id) is not None


def content_of(source: bytes) -> str:
    """A document's content. Of one that is too large, or that can't be read, it says so and which it was."""
    if len(source) <= DOCUMENT_MAX_BYTES:
        try:
            return content_text(msgspec.json.decode(source))
        except (msgspec.MsgspecError, RecursionError):
            pass
    return content_text({"unreadable": {"bytes": len(source), "sha256": hashlib.sha256(source).hexdigest()}})


def content_text(document: Any) -> str:
    return _encode(_without_bookkeeping(document) if isinstance(document, dict) else document).decode()


def compiled(tenant: str, content: str) -> TenantRules | DeploymentRules | DocumentError:
    """What a document of that id and content puts in force, or what is wrong with it."""
    try:
        return rules_of(tenant, msgspec.json.decode(content))
    except DocumentError as error:
        return error


def rules_of(tenant: str, document: Any) -> TenantRules | DeploymentRules:
    """Raises: DocumentError where the document is not valid under that id."""
    if tenant == DEPLOYMENT:
        return deployment_rules(document)
    if not is_name(tenant):
        detail = f"its id {tenant[:128]!r} is no tenant's name; allowed: {NAME_ALLOWED}"
        raise DocumentError([Fault((), detail, tenant[:128], NAME_ALLOWED)])
    return tenant_rules(tenant, document)


def stamp_of(source: bytes) -> Stamp:
    """What a document says of its last change; nothing where it does not, or says it wrong."""
    try:
        return msgspec.json.decode(source, type=Stamp)
    except (msgspec.MsgspecError, RecursionError):
        return Stamp()


def change_id_of(tenant: str, revision: int, content: str, by: str, at_ms: int, address: str) -> str:
    """What the API writes with its change number `revision`: `<number>-<digest>@<address>`.

    A document that was changed since by other means keeps the id, and no longer fits it: the number or the digest
    tells.
    """
    said = [tenant, revision, content, by, at_ms]
    digest = hashlib.sha256(_encode([*said, address] if address else said)).hexdigest()
    return f"{revision}-{digest[:16]}" + (f"@{address}" if address else "")


def stamped(tenant: str, document: dict[str, Any], *, revision: int, by: str, at_ms: int, address: str = "") -> bytes:
    """A document as the API writes it."""
    wanted = _without_bookkeeping(document)
    stamp = Stamp(by, at_ms, change_id_of(tenant, revision, content_text(wanted), by, at_ms, address))
    return msgspec.json.encode(wanted | {"kind": "tenant", "tenant": tenant} | msgspec.to_builtins(stamp))
