"""Migrations: live instances of one version found in all lanes, page by page, and moved by the owners of the lanes."""

from __future__ import annotations

import re

from ....claim.wire.versions import MigrateBody, MigrationResult, MigrationResults
from ...engine import Engine
from ...errors import InvalidRequest, NotOwner
from ...es.running_instances import running_instances_body
from ...peers import MigrateAt, Peers
from ...principal import Principal
from ..looking.reads import Reads
from .migrating import Migrating

# What one request to an owner asks for: its replays must be done before the asking replica gives up.
_IDS_A_REQUEST = 100

_CURSOR = re.compile(r"(\d{2,}):(\d{1,18}):(-?\d{1,18})", re.ASCII)


class Migrations:
    """Finds the instances; moves those of this replica's lanes and passes on the others'."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers) -> None:
        self._engine = engine
        self._peers = peers
        self._migrating = Migrating(engine, reads)

    async def migrate(self, principal: Principal, name: str, body: MigrateBody) -> MigrationResults:
        """As `Replica.migrate`."""
        if body.from_version == body.to_version:
            raise InvalidRequest(f"from and to are both version {body.to_version}; name two versions")
        head = await self._engine.catalog.readable_head(principal, name)
        for version in (body.from_version, body.to_version):
            await self._engine.catalog.version(head.tenant, name, version)
        if body.instance_id is not None:
            return MigrationResults(await self._move(principal, name, body, [body.instance_id]))
        return await self._page(principal, name, body)

    async def _page(self, principal: Principal, name: str, body: MigrateBody) -> MigrationResults:
        """Instances lane by lane, from the cursor on, until there are as many as were asked for."""
        first, after = _read_cursor(body.after)
        results: list[MigrationResult] = []
        looked_at = 0
        for lane in sorted(self._engine.control.registry.lanes):
            if lane < first:
                continue
            position = after if lane == first else None
            while True:
                size = min(_IDS_A_REQUEST, body.limit - looked_at)
                if not size:
                    return MigrationResults(results, _cursor(lane, position))
                ids, position = await self._found(principal, name, body, lane, position, size)
                looked_at += len(ids)
                if ids:
                    results += await self._move(principal, name, body, ids, found=True)
                if len(ids) < size:
                    break
        return MigrationResults(results)

    async def _found(
        self,
        principal: Principal,
        name: str,
        body: MigrateBody,
        lane: str,
        after: tuple[int, int] | None,
        size: int,
    ) -> tuple[list[str], tuple[int, int] | None]:
        """A page of ids of one lane, and where the next one begins. Raises: StoreError."""
        index = self._engine.names.lane(lane)
        query = running_instances_body(
            workflow=name,
            version=body.from_version,
            principal=principal,
            after=after,
            size=size,
        )
        await self._engine.store.refresh(index)
        hits = (await self._engine.store.search(index, query)).hits
        return [hit.id for hit in hits], (hits[-1].sort[0], hits[-1].sort[1]) if hits else after

    async def _move(
        self, principal: Principal, name: str, body: MigrateBody, ids: list[str], *, found: bool = False
    ) -> list[MigrationResult]:
        """The results of instances of one lane. Raises: NotOwner while it has no owner; Relayed; StoreError."""
        request = MigrateAt(principal, name, ids, body.from_version, body.to_version, body.dry_run, found)
        try:
            return await self._migrating.migrate(request)
        except NotOwner as owner:
            if owner.address is None:
                raise
            return (await self._peers.ask(owner.address, request)).migrations or []


def _cursor(lane: str, after: tuple[int, int] | None) -> str:
    created_at_ms, seq_no = after or (0, -1)
    return f"{lane}:{created_at_ms}:{seq_no}"


def _read_cursor(text: str | None) -> tuple[str, tuple[int, int] | None]:
    """Raises: InvalidRequest."""
    if text is None:
        return "", None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"after is {text!r}; give the `next` of the answer before, or nothing to begin")
    return match[1], (int(match[2]), int(match[3]))
