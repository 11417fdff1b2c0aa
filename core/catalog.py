"""Definitions as they are stored, compiled and remembered.

A version is a write-once document; a head document says which version of a name is active. Both belong to a tenant;
what tenant `*` stores is everybody's. Compiled versions are remembered, since they never change; heads until the change
feed says that the index has changed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from ..claim.wire import DefinitionList, DefinitionStored, DefinitionSummary, DefinitionView
from ..definitions import Definition, DefinitionError, load
from ..definitions.plan import Plan
from ..ilm import IndexNames
from .errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, StoreError, Unavailable
from .es.lines import create_line, index_line
from .ports import BulkItem, Clock, Store, Version
from .principal import EVERY_TENANT, Principal
from .settings import LimitSettings
from .violations import wire_violations

log = structlog.get_logger(__name__)

# An address may hold anything; only a name may become part of a document's id.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}", re.ASCII)


# A compiled definition may hold some megabytes; what runs keeps its own plan.
_REMEMBERED_VERSIONS = 1_000
# Loading is pure computation, some milliseconds for a usual text and seconds for the largest: those go to a thread.
_LOAD_IN_THREAD_BYTES = 16_384


class VersionDocument(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="version"):
    tenant: str
    name: str
    version: int
    source: str
    content_hash: str
    created_at_ms: int
    created_by: str
    description: str | None = None
    labels: dict[str, str] = {}


class HeadDocument(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="head"):
    """`active` is 0 for a name that was deleted: its versions stay for the instances that run them."""

    tenant: str
    name: str
    active: int
    versions: list[int]
    description: str | None = None


class Compiled(Struct, frozen=True):
    """A version, ready to run."""

    document: VersionDocument
    definition: Definition
    plan: Plan
    check_params: Callable[[Mapping[str, Any]], dict[str, Any]]


class Catalog:
    """One replica's view of the definitions index. Reads are realtime GETs, so what was stored is there at once."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, limits: LimitSettings) -> None:
        self._store = store
        self._index = names.definitions
        self._clock = clock
        self._limits = limits
        self._compiled: dict[tuple[str, str, int], Compiled] = {}
        self._heads: dict[tuple[str, str], HeadDocument] = {}

    def forget_heads(self) -> None:
        """The index has changed: ask again which versions are active."""
        self._heads.clear()

    def cached_plan(self, tenant: str, name: str, version: int) -> Plan:
        """The plan of a version that `plan` has loaded before. Raises: NotFound."""
        return self.cached(tenant, name, version).plan

    def cached(self, tenant: str, name: str, version: int) -> Compiled:
        """A version that `plan` has loaded before. Raises: NotFound."""
        compiled = self._compiled.get((tenant, name, version))
        if compiled is None:
            raise NotFound("definition", f"{name} version {version}")
        return compiled

    async def plan(self, tenant: str, name: str, version: int) -> Plan:
        """Raises: NotFound."""
        return (await self._version(tenant, name, version)).plan

    async def resolve(self, principal: Principal, name: str, version: int | None) -> Compiled:
        """The version that a start of this principal gets: its tenant's own, else everybody's. Raises: NotFound."""
        for tenant in _owners(principal) if _NAME.fullmatch(name) else ():
            head = self._heads.get((tenant, name)) or await self._head(tenant, name)
            if head is not None and head.active:
                return await self._version(tenant, name, version or head.active)
        raise NotFound("workflow", name, "store its definition first: PUT /_workflows/{name}")

    async def put(self, principal: Principal, name: str, source: bytes) -> DefinitionStored:
        """Raises: InvalidRequest; Conflict; PayloadTooLarge; Unavailable."""
        definition = await self._parse(name, source)
        document = VersionDocument(
            tenant=principal.tenant,
            name=name,
            version=definition.version,
            source=definition.source,
            content_hash=definition.content_hash(),
            created_at_ms=self._clock.now_ms(),
            created_by=principal.name,
            description=definition.description,
            labels=dict(definition.labels),
        )
        created = await self._create_version(document)
        await self._activate(document)
        await self._store.refresh(self._index)
        self._remember(_compiled(document, definition))
        return DefinitionStored(name=name, version=document.version, created=created, active=True)

    async def view(self, principal: Principal, name: str, version: int | None) -> DefinitionView:
        """Raises: NotFound."""
        document = (await self.resolve(principal, name, version)).document
        head = await self._head(document.tenant, name)
        return DefinitionView(
            name=name,
            version=document.version,
            active=head is not None and head.active == document.version,
            source=document.source,
            tenant=document.tenant,
            created_at_ms=document.created_at_ms,
            created_by=document.created_by,
            labels=document.labels,
            description=document.description,
        )

    async def list(self, principal: Principal) -> DefinitionList:
        """Active definitions in the order of their names; lags the truth by at most one refresh."""
        tenants = {"terms": {"tenant": _owners(principal)}}
        body: dict[str, Any] = {
            "query": {"bool": {"filter": [{"term": {"kind": "head"}}, tenants]}},
            "size": 10_000,
            "track_total_hits": False,
        }
        page = await self._store.search(self._index, body)
        heads = [msgspec.json.decode(hit.source, type=HeadDocument) for hit in page.hits]
        summaries = [
            DefinitionSummary(
                name=head.name, active_version=head.active, versions=sorted(head.versions), description=head.description
            )
            for head in heads
            if head.active
        ]
        return DefinitionList(definitions=sorted(summaries, key=lambda summary: summary.name))

    async def delete(self, principal: Principal, name: str) -> None:
        """Raises: NotFound."""
        for _ in range(5):
            head, version = await self._stored_head(principal.tenant, name) if _NAME.fullmatch(name) else (None, None)
            if head is None or not head.active or version is None:
                raise NotFound("workflow", name)
            retired = msgspec.structs.replace(head, active=0)
            line = index_line(_head_id(principal.tenant, name), version.seq_no, version.primary_term)
            if (await self._write(line, msgspec.json.encode(retired))).status == 200:
                self._heads.pop((principal.tenant, name), None)
                await self._store.refresh(self._index)
                return
        raise Unavailable(f"{name!r} is being changed by others")

    async def _parse(self, name: str, source: bytes) -> Definition:
        if len(source) > self._limits.payload_max_bytes:
            raise PayloadTooLarge("the definition", len(source), self._limits.payload_max_bytes)
        try:
            definitions = await _loaded(source, name, managed=False)
        except DefinitionError as error:
            raise InvalidRequest(error.summary, wire_violations(error.violations)) from error
        if len(definitions) != 1:
            raise InvalidRequest(f"found {len(definitions)} definitions; a PUT takes exactly one")
        if definitions[0].name != name:
            raise InvalidRequest(f"the definition is named {definitions[0].name!r}, the address says {name!r}")
        return definitions[0]

    async def _create_version(self, document: VersionDocument) -> bool:
        id = _version_id(document.tenant, document.name, document.version)
        item = await self._write(create_line(id), msgspec.json.encode(document))
        if item.status == 201:
            return True
        if item.status != 409:
            raise StoreError(f"the definition could not be stored: {item.status} {item.error_reason}")
        existing = await self._store.get(self._index, id)
        if existing is None:
            raise Unavailable(f"{document.name!r} is being changed by others")
        if msgspec.json.decode(existing.source, type=VersionDocument).content_hash != document.content_hash:
            raise Conflict(
                f"version {document.version} of {document.name!r} is stored with other content; "
                "versions are immutable: raise `version` in the definition"
            )
        return False

    async def _activate(self, document: VersionDocument) -> None:
        for _ in range(5):
            head, version = await self._stored_head(document.tenant, document.name)
            versions = sorted({*(head.versions if head else ()), document.version})
            wanted = HeadDocument(
                tenant=document.tenant,
                name=document.name,
                active=document.version,
                versions=versions,
                description=document.description,
            )
            if head == wanted:
                break
            id = _head_id(document.tenant, document.name)
            line = create_line(id) if version is None else index_line(id, version.seq_no, version.primary_term)
            if (await self._write(line, msgspec.json.encode(wanted))).status in (200, 201):
                break
        else:
            raise Unavailable(f"{document.name!r} is being changed by others")
        self._heads[(document.tenant, document.name)] = wanted

    async def _version(self, tenant: str, name: str, version: int) -> Compiled:
        compiled = self._compiled.get((tenant, name, version))
        if compiled is None:
            stored = await self._store.get(self._index, _version_id(tenant, name, version))
            if stored is None:
                raise NotFound("definition", f"{name} version {version}")
            document = msgspec.json.decode(stored.source, type=VersionDocument)
            definition = (await _loaded(document.source.encode(), name, managed=True))[0]
            compiled = self._remember(_compiled(document, definition))
        return compiled

    def _remember(self, compiled: Compiled) -> Compiled:
        """Keep a version for later starts; those loaded longest ago are forgotten, and read again when wanted."""
        document = compiled.document
        self._compiled[document.tenant, document.name, document.version] = compiled
        if len(self._compiled) > _REMEMBERED_VERSIONS:
            del self._compiled[next(iter(self._compiled))]
        return compiled

    async def _head(self, tenant: str, name: str) -> HeadDocument | None:
        head, _ = await self._stored_head(tenant, name)
        if head is not None:
            self._heads[(tenant, name)] = head
        return head

    async def _stored_head(self, tenant: str, name: str) -> tuple[HeadDocument | None, Version | None]:
        stored = await self._store.get(self._index, _head_id(tenant, name))
        if stored is None:
            return None, None
        return msgspec.json.decode(stored.source, type=HeadDocument), stored.version

    async def _write(self, line: bytes, body: bytes) -> BulkItem:
        (item,) = await self._store.bulk([line, body], index=self._index)
        return item


async def _loaded(source: bytes, name: str, *, managed: bool) -> list[Definition]:
    """Raises: DefinitionError."""
    if len(source) <= _LOAD_IN_THREAD_BYTES:
        return load(source, origin=name, managed=managed)
    return await asyncio.to_thread(load, source, origin=name, managed=managed)


def _compiled(document: VersionDocument, definition: Definition) -> Compiled:
    return Compiled(document, definition, definition.compile(), definition.params_check())


def _owners(principal: Principal) -> list[str]:
    """Whose definitions a principal may use, its own first."""
    return list(dict.fromkeys((principal.tenant, EVERY_TENANT)))


def _head_id(tenant: str, name: str) -> str:
    return f"{tenant}/{name}"


def _version_id(tenant: str, name: str, version: int) -> str:
    return f"{tenant}/{name}/{version}"
