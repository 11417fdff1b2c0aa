"""Reading and writing the documents of tenants, and the deployment's.

A write is recorded in the audit right behind it, and what stood before it right ahead of it: so that between two
writes of the API no change goes by unrecorded, each is conditional on the version that was recorded.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from ....claim.wire.tenants import TenantList, TenantView
from ....tenancy.documents import (
    DEPLOYMENT,
    DeploymentRules,
    DocumentError,
    deployment_document,
    tenant_document,
    without_bookkeeping,
)
from ...engine import Engine
from ...errors import InvalidRequest, NotFound, OutcomeUnknown, StoreError, TenantConflict, Unavailable
from ...es.lines import create_line, delete_line, index_line
from ...ports import BulkItem, StoredDocument, Version
from ...principal import EVERY_TENANT, Principal
from ...tenants.audit import Standing
from ...tenants.stored import (
    DOCUMENT_MAX_BYTES,
    NAME_ALLOWED,
    Deletion,
    compiled,
    content_of,
    content_text,
    is_name,
    stamp_of,
    stamped,
)
from .bodies import document_in

log = structlog.get_logger(__name__)

NONE = "none"
"""The revision of a document that does not exist."""

_ATTEMPTS = 10


class TenantDocuments:
    """Any replica reads and writes them. A tenant may read its own document; operators all, and they alone write."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store
        self._index = engine.names.tenants

    async def view(self, principal: Principal, tenant: str) -> TenantView:
        """The document as it stands, and what this replica obeys. Raises: NotFound; StoreError."""
        if not is_name(tenant):
            raise NotFound("tenant", tenant)
        if not principal.operator:
            self._engine.access.check(principal, tenant, "get_tenant", "tenant", tenant)
        found = await self._store.get(self._index, tenant)
        return msgspec.structs.replace(_view(tenant, found), in_force=self._in_force(tenant))

    async def page(self, principal: Principal, *, after: str, size: int) -> TenantList:
        """Those with a document, by name; without the role the caller's own. Raises: StoreError.

        A tenant that is new or gone is seen here once this replica has seen it.
        """
        if principal.operator or principal.sees(EVERY_TENANT):
            names = self._engine.tenants.names_after(after, size + 1)
        else:
            names = [principal.tenant] if principal.tenant > after else []
        found = await self._store.mget(self._index, names[:size])
        views = [_view(name, one) for name, one in zip(names, found, strict=False) if one is not None]
        return TenantList(views, names[size - 1] if len(names) > size else None)

    async def put(
        self, principal: Principal, tenant: str, source: bytes, *, revision: str | None
    ) -> tuple[TenantView, bool]:
        """The document after it is written, and whether there was none before. The same content changes nothing.

        Raises: Forbidden; InvalidRequest with violations; TenantConflict; Unavailable; StoreError.
        """
        principal.check_operator("changing what is in force for tenants")
        if not is_name(tenant):
            raise InvalidRequest(f"{tenant[:128]!r} is no tenant's name; allowed: {NAME_ALLOWED}")
        document = document_in(tenant, source)
        for _ in range(_ATTEMPTS):
            standing, found = await self._recorded(tenant)
            if found is not None and content_of(found.source) == content_text(document):
                return _view(tenant, found), False
            _check_revision(tenant, found, revision)
            written = stamped(
                tenant,
                document,
                revision=standing.audited.revision + 1,
                by=principal.name,
                at_ms=self._engine.clock.now_ms(),
                address=principal.address,
            )
            version = await self._write(tenant, written, found)
            if version is not None:
                await self._follow(tenant)
                return _view(tenant, StoredDocument(self._index, tenant, written, version)), found is None
        raise _restless(tenant)

    async def delete(self, principal: Principal, tenant: str, *, revision: str | None) -> None:
        """The defaults are in force again. Raises: Forbidden; NotFound; TenantConflict; Unavailable; StoreError."""
        principal.check_operator("changing what is in force for tenants")
        for _ in range(_ATTEMPTS):
            standing, found = await self._recorded(tenant)
            _check_revision(tenant, found, revision)
            if found is None:
                raise NotFound("tenant with a document", tenant)
            if await self._delete(principal, standing, found):
                await self._follow(tenant)
                return
        raise _restless(tenant)

    async def _recorded(self, tenant: str) -> tuple[Standing, StoredDocument | None]:
        """The document as it stands, and that it is recorded so."""
        for _ in range(_ATTEMPTS):
            found = await self._store.get(self._index, tenant)
            standing = await self._engine.tenants.auditor.record(tenant)
            if standing.audited.content == (None if found is None else content_of(found.source)):
                return standing, found
        raise _restless(tenant)

    async def _write(self, tenant: str, written: bytes, found: StoredDocument | None) -> Version | None:
        """None where another write came first."""
        at = None if found is None else found.version
        line = create_line(tenant) if at is None else index_line(tenant, at.seq_no, at.primary_term)
        try:
            (item,) = await self._store.bulk([line, written], index=self._index)
        except OutcomeUnknown:
            standing = await self._store.get(self._index, tenant)
            if standing is None or standing.source != written:
                raise
            return standing.version
        return _version(item)

    async def _delete(self, principal: Principal, standing: Standing, found: StoredDocument) -> bool:
        """Say who is about to delete it, then delete it; false where another came first."""
        assert found.version is not None
        audited = standing.audited
        deletion = Deletion(principal.name, self._engine.clock.now_ms(), audited.revision, principal.address)
        meant = Standing(msgspec.structs.replace(audited, deletion=deletion), standing.version)
        if await self._engine.tenants.auditor.write(meant) is None:
            return False
        line = delete_line(found.id, found.version.seq_no, found.version.primary_term)
        try:
            (item,) = await self._store.bulk([line], index=self._index)
        except OutcomeUnknown:
            if await self._store.get(self._index, found.id) is not None:
                raise
            return True
        return _version(item) is not None

    async def _follow(self, tenant: str) -> None:
        """Obey, and record. What can't be recorded now is recorded by whoever sees the change."""
        tenants = self._engine.tenants
        tenants.look_now()
        try:
            await tenants.auditor.record(tenant)
        except StoreError as error:
            log.warning("tenants.not_recorded_yet", tenant=tenant, error=str(error))
        tenants.audit_soon(tenant)

    def _in_force(self, tenant: str) -> dict[str, Any]:
        rules = self._engine.tenants.rules
        if tenant == DEPLOYMENT:
            return deployment_document(DeploymentRules(rules.defaults, rules.capabilities))
        found = rules.of(tenant)
        return tenant_document(found) | ({"refused": True} if found.refused else {})


def _view(tenant: str, found: StoredDocument | None) -> TenantView:
    if found is None:
        return TenantView(tenant=tenant)
    rules, stamp = compiled(tenant, content_of(found.source)), stamp_of(found.source)
    return TenantView(
        tenant=tenant,
        document=_shown(found.source),
        revision=_revision(found),
        updated_at_ms=stamp.updated_at_ms or None,
        updated_by=stamp.updated_by or None,
        error=str(rules) if isinstance(rules, DocumentError) else None,
    )


def _shown(source: bytes) -> dict[str, Any]:
    """As it was written; of what can't be read, what is known of it."""
    try:
        if len(source) <= DOCUMENT_MAX_BYTES:
            return without_bookkeeping(msgspec.json.decode(source, type=dict[str, Any]))
    except (msgspec.MsgspecError, RecursionError):
        pass
    document: dict[str, Any] = msgspec.json.decode(content_of(source))
    return document


def _revision(found: StoredDocument | None) -> str:
    if found is None or found.version is None:
        return NONE
    return f"{found.version.seq_no}-{found.version.primary_term}"


def _check_revision(tenant: str, found: StoredDocument | None, wanted: str | None) -> None:
    """Raises: TenantConflict."""
    stands = _revision(found)
    if wanted is not None and wanted != stands:
        detail = f"the document of {tenant!r} stands at revision {stands}, not {wanted[:64]!r}; look what was changed"
        raise TenantConflict(detail, _view(tenant, found))


def _version(item: BulkItem) -> Version | None:
    """Raises: StoreError unless the write was made or lost its race."""
    if item.status in (404, 409):
        return None
    if item.version is None:
        raise StoreError(f"the document of {item.id!r} could not be written: {item.status} {item.error_reason}")
    return item.version


def _restless(tenant: str) -> Unavailable:
    return Unavailable(f"the document of {tenant!r} is being changed by others all the time")
