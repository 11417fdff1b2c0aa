"""Definition versions: stored, compiled and remembered, and which of them a start gets.

Compiled versions are remembered, since they never change; heads until the change feed says that the index has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ...claim.wire import DefinitionList, DefinitionStored, DefinitionSummary, DefinitionView
from ...definitions import Definition, DefinitionError, load
from ...definitions.plan import Plan
from ...ilm import IndexNames
from ..audit import Trail
from ..errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, StoreError, Unavailable
from ..es.lines import create_line
from ..ports import Clock, Store
from ..principal import EVERY_TENANT, Principal
from ..settings import LimitSettings
from ..violations import wire_violations
from . import activations
from .documents import Canary, Compiled, HeadDocument, VersionDocument, is_name, version_id
from .heads import Heads
from .split import gets_canary

# A compiled definition may hold some megabytes; what runs keeps its own plan.
_REMEMBERED_VERSIONS = 1_000
# Loading is pure computation, some milliseconds for a usual text and seconds for the largest: those go to a thread.
_LOAD_IN_THREAD_BYTES = 16_384


class Offer(Struct, frozen=True):
    """What a start without a version may get: the active version, and perhaps a canary. Both are ready to run."""

    active: Compiled
    canary: Compiled | None = None
    share: Canary | None = None

    def pick(self, unit: str, labels: Mapping[str, str]) -> Compiled:
        """The version of one start. `unit`: its idempotency key or, without one, a text of chance."""
        if self.canary is None or self.share is None:
            return self.active
        return self.canary if gets_canary(self.share, self.active.document.name, unit, labels) else self.active


class Catalog:
    """One replica's view of the definitions index. Reads are realtime GETs, so what was stored is there at once."""

    def __init__(self, *, store: Store, names: IndexNames, clock: Clock, limits: LimitSettings, trail: Trail) -> None:
        self.heads = Heads(store, names, clock, trail)
        self._store = store
        self._index = names.definitions
        self._clock = clock
        self._limits = limits
        self._compiled: dict[tuple[str, str, int], Compiled] = {}

    def forget_heads(self) -> None:
        """The index has changed: ask again which versions are active."""
        self.heads.forget()

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
        return (await self.version(tenant, name, version)).plan

    async def resolve(self, principal: Principal, name: str, version: int | None) -> Compiled:
        """A version of the principal's tenant, else of everybody's: the active one unless named. Raises: NotFound."""
        head = await self.head_for(principal, name)
        return await self.version(head.tenant, name, version or head.active)

    async def offer(self, principal: Principal, name: str, version: int | None) -> Offer:
        """What starts of this principal get: the version that they name, else the active one or the canary.

        Raises: NotFound.
        """
        head = await self.head_for(principal, name)
        active = await self.version(head.tenant, name, version or head.active)
        if version is not None or head.canary is None:
            return Offer(active)
        return Offer(active, await self.version(head.tenant, name, head.canary.version), head.canary)

    async def head_for(self, principal: Principal, name: str) -> HeadDocument:
        """The head that counts for this principal's starts, as far as this replica knows. Raises: NotFound."""
        for tenant in _owners(principal) if is_name(name) else ():
            head = await self.heads.known(tenant, name)
            if head is not None and head.active:
                return head
        raise NotFound("workflow", name, "store its definition first: PUT /_workflows/{name}")

    async def put(self, principal: Principal, name: str, source: bytes, *, activate: bool = True) -> DefinitionStored:
        """Raises: InvalidRequest; Conflict; PayloadTooLarge; Unavailable."""
        definition = await self._parse(name, source)
        now_ms = self._clock.now_ms()
        document = VersionDocument(
            tenant=principal.tenant,
            name=name,
            version=definition.version,
            source=definition.source,
            content_hash=definition.content_hash(),
            created_at_ms=now_ms,
            created_by=principal.name,
            description=definition.description,
            labels=dict(definition.labels),
        )
        created = await self._create_version(document)

        def change(head: HeadDocument | None, _first: HeadDocument | None) -> HeadDocument:
            after = activations.stored(head, document.tenant, name, document.version)
            if not activate:
                return after
            return activations.activated(after, document.version, document.description, at_ms=now_ms, by=principal.name)

        head = await self.heads.change(principal, document.tenant, name, change)
        await self._store.refresh(self._index)
        self._remember(_compiled(document, definition))
        active = head.active == document.version
        return DefinitionStored(name=name, version=document.version, created=created, active=active)

    async def view(self, principal: Principal, name: str, version: int | None) -> DefinitionView:
        """Raises: NotFound."""
        document = (await self._readable(principal, name, version)).document
        head, _ = await self.heads.stored(document.tenant, name)
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

    async def readable_head(self, principal: Principal, name: str) -> HeadDocument:
        """The head as it stands now, also of a name that is out of use. Raises: NotFound."""
        retired: HeadDocument | None = None
        for tenant in _owners(principal) if is_name(name) else ():
            head, _ = await self.heads.stored(tenant, name)
            if head is not None and head.active:
                return head
            retired = retired or head
        if retired is None:
            raise NotFound("workflow", name, "store its definition first: PUT /_workflows/{name}")
        return retired

    async def _readable(self, principal: Principal, name: str, version: int | None) -> Compiled:
        """As `resolve`; a version that is named may also be one of a name that is out of use."""
        if version is None:
            return await self.resolve(principal, name, None)
        head = await self.readable_head(principal, name)
        return await self.version(head.tenant, name, version)

    async def version(self, tenant: str, name: str, version: int) -> Compiled:
        """Raises: NotFound."""
        compiled = self._compiled.get((tenant, name, version))
        if compiled is None:
            stored = await self._store.get(self._index, version_id(tenant, name, version))
            if stored is None:
                raise NotFound("definition", f"{name} version {version}")
            document = msgspec.json.decode(stored.source, type=VersionDocument)
            definition = (await _loaded(document.source.encode(), name, managed=True))[0]
            compiled = self._remember(_compiled(document, definition))
        return compiled

    async def documents(self, head: HeadDocument, versions: list[int]) -> list[VersionDocument]:
        """These versions as they are stored, in order; one that is not there is left out."""
        ids = [version_id(head.tenant, head.name, version) for version in versions]
        found = await self._store.mget(self._index, ids)
        return [msgspec.json.decode(one.source, type=VersionDocument) for one in found if one is not None]

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

        def change(head: HeadDocument | None, _first: HeadDocument | None) -> HeadDocument:
            if head is None or not head.active:
                raise NotFound("workflow", name)
            return activations.retired(head, at_ms=self._clock.now_ms(), by=principal.name)

        if not is_name(name):
            raise NotFound("workflow", name)
        await self.heads.change(principal, principal.tenant, name, change)
        await self._store.refresh(self._index)

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
        id = version_id(document.tenant, document.name, document.version)
        (item,) = await self._store.bulk([create_line(id), msgspec.json.encode(document)], index=self._index)
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

    def _remember(self, compiled: Compiled) -> Compiled:
        """Keep a version for later starts; those loaded longest ago are forgotten, and read again when wanted."""
        document = compiled.document
        self._compiled[document.tenant, document.name, document.version] = compiled
        if len(self._compiled) > _REMEMBERED_VERSIONS:
            del self._compiled[next(iter(self._compiled))]
        return compiled


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
