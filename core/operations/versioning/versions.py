"""Versions of definitions: which one is active, back to the one before, a canary beside it, and what happened to them.

Each change is one conditional write of the head. Whoever loses a race hears what stands now, unless that is what was
wished for.
"""

from __future__ import annotations

from ....claim.wire.versions import (
    ActivateBody,
    ActivationView,
    CanaryBody,
    CanaryRollback,
    CanaryView,
    RollbackBody,
    VersionsView,
    VersionView,
)
from ...catalog import Catalog, activations
from ...catalog.documents import Activation, Canary, CanaryLimit, HeadDocument, VersionDocument, is_name
from ...catalog.heads import Change
from ...engine import Engine
from ...errors import InvalidRequest, NotFound, VersionConflict
from ...principal import Principal

_LISTED = 100


class Versions:
    """Changes heads of the principal's own tenant; any replica may do it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._catalog: Catalog = engine.catalog

    async def all(self, principal: Principal, name: str) -> VersionsView:
        """As `Replica.versions`."""
        return await self._view(await self._catalog.readable_head(principal, name))

    async def activate(self, principal: Principal, name: str, body: ActivateBody) -> VersionsView:
        """As `Replica.activate_version`."""
        document = await self._stored(principal, name, body.version)

        def change(found: HeadDocument | None, first: HeadDocument | None) -> HeadDocument:
            head = _there(found, name)
            if head.active != body.version:
                _expect(head, body.if_active, first)
            return activations.activated(
                activations.stored(head, head.tenant, name, body.version),
                body.version,
                document.description,
                at_ms=self._now_ms(),
                by=principal.name,
            )

        return await self._change(principal, name, change)

    async def roll_back(self, principal: Principal, name: str, body: RollbackBody) -> VersionsView:
        """As `Replica.roll_back_version`."""
        before = await self._head(principal, name)
        if body.if_active is not None and _rolled_back_from(before, body.if_active):
            return await self._view(before)
        if not before.previous:
            raise InvalidRequest(f"no version of {name!r} was active before; activate one: POST _activate")
        version = before.previous[-1]
        document = await self._stored(principal, name, version)

        def change(found: HeadDocument | None, _: HeadDocument | None) -> HeadDocument:
            head = _there(found, name)
            if _rolled_back_from(head, before.active if body.if_active is None else body.if_active):
                return head
            _expect(head, body.if_active, before)
            if head.previous != before.previous:
                raise VersionConflict(f"{name!r} was changed meanwhile: {_whose(head)}", head.active)
            return activations.rolled_back(head, document.description, at_ms=self._now_ms(), by=principal.name)

        return await self._change(principal, name, change)

    async def begin_canary(self, principal: Principal, name: str, body: CanaryBody) -> VersionsView:
        """As `Replica.begin_canary`."""
        if body.percent is None and not body.labels:
            raise InvalidRequest("which starts get the canary? give percent, labels or both")
        await self._stored(principal, name, body.version)
        limit = body.rollback
        canary = Canary(
            version=body.version,
            began_at_ms=self._now_ms(),
            began_by=principal.name,
            percent=body.percent or 0.0,
            labels=dict(body.labels),
            rollback=None if limit is None else CanaryLimit(limit.margin, limit.min_instances),
        )

        def change(found: HeadDocument | None, first: HeadDocument | None) -> HeadDocument:
            head = _there(found, name)
            if not head.active:
                raise InvalidRequest(f"no version of {name!r} is active, so there is nothing to try another beside")
            if head.active == body.version:
                raise VersionConflict(
                    f"version {body.version} of {name!r} is the active one; {_whose(head)}", head.active
                )
            _expect(head, None, first)
            _expect_canary(head, first)
            return activations.with_canary(activations.stored(head, head.tenant, name, body.version), canary)

        return await self._change(principal, name, change)

    async def end_canary(self, principal: Principal, name: str) -> VersionsView:
        """As `Replica.end_canary`."""

        def change(found: HeadDocument | None, first: HeadDocument | None) -> HeadDocument:
            head = _there(found, name)
            if head.canary is not None:
                _expect_canary(head, first)
            return activations.without_canary(head, at_ms=self._now_ms(), by=principal.name)

        return await self._change(principal, name, change)

    async def _change(self, principal: Principal, name: str, change: Change) -> VersionsView:
        if not is_name(name):
            raise NotFound("workflow", name)
        head = await self._catalog.heads.change(principal, principal.tenant, name, change)
        await self._engine.store.refresh(self._engine.names.definitions)
        return await self._view(head)

    async def _head(self, principal: Principal, name: str) -> HeadDocument:
        head = (await self._catalog.heads.stored(principal.tenant, name))[0] if is_name(name) else None
        return _there(head, name)

    async def _stored(self, principal: Principal, name: str, version: int) -> VersionDocument:
        """The version, which can be run: it compiles."""
        await self._head(principal, name)
        return (await self._catalog.version(principal.tenant, name, version)).document

    def _now_ms(self) -> int:
        return self._engine.clock.now_ms()

    async def _view(self, head: HeadDocument) -> VersionsView:
        versions = sorted(head.versions, reverse=True)
        documents = await self._catalog.documents(head, versions[:_LISTED])
        canary = head.canary.version if head.canary is not None else 0
        return VersionsView(
            name=head.name,
            tenant=head.tenant,
            versions=[_version_view(document, head.active, canary) for document in documents],
            activations=[_activation_view(one) for one in reversed(head.activations)],
            active_version=head.active or None,
            rollback_to=head.previous[-1] if head.previous else None,
            canary=None if head.canary is None else _canary_view(head.canary),
            older_versions=max(0, len(versions) - _LISTED),
        )


def _there(head: HeadDocument | None, name: str) -> HeadDocument:
    """Raises: NotFound."""
    if head is None:
        raise NotFound("workflow", name, "store its definition first: PUT /_workflows/{name}")
    return head


def _expect(head: HeadDocument, if_active: int | None, first: HeadDocument | None) -> None:
    """The change is meant for one active version: the one named, or the one that stood when it was asked for.

    Raises: VersionConflict.
    """
    expected = if_active or (head.active if first is None else first.active)
    if head.active != expected:
        meant = f"version {expected}" if expected else "no version"
        raise VersionConflict(f"{meant} of {head.name!r} was to be active, but {_whose(head)}", head.active)


def _expect_canary(head: HeadDocument, first: HeadDocument | None) -> None:
    """Raises: VersionConflict when somebody else began or ended a canary meanwhile."""
    if first is not None and head.canary != first.canary:
        last = head.activations[-1]
        by = f" by {last.by}" if last.by else ""
        raise VersionConflict(
            f"the canary of {head.name!r} was changed meanwhile{by}; look, then ask again", head.active
        )


def _rolled_back_from(head: HeadDocument, version: int) -> bool:
    """Whether the latest change was just that: a rollback from this version."""
    last = activations.last_change(head)
    return last is not None and last.action == "rolled_back" and last.before == version and head.active != version


def _whose(head: HeadDocument) -> str:
    """Which version is active, and who made it so."""
    last = activations.last_change(head)
    by = f", by {last.by}" if last is not None and last.by else ""
    return f"version {head.active} is active{by}" if head.active else f"it is out of use{by}"


def _version_view(document: VersionDocument, active: int, canary: int) -> VersionView:
    return VersionView(
        version=document.version,
        created_at_ms=document.created_at_ms,
        created_by=document.created_by,
        active=document.version == active,
        canary=document.version == canary,
        description=document.description,
    )


def _activation_view(one: Activation) -> ActivationView:
    return ActivationView(
        at_ms=one.at_ms,
        action=one.action,
        version=one.version,
        by=one.by or None,
        before=one.before or None,
        reason=one.reason,
    )


def _canary_view(canary: Canary) -> CanaryView:
    limit = canary.rollback
    return CanaryView(
        version=canary.version,
        began_at_ms=canary.began_at_ms,
        began_by=canary.began_by,
        percent=canary.percent or None,
        labels=canary.labels,
        rollback=None if limit is None else CanaryRollback(limit.margin, limit.min_instances),
    )
