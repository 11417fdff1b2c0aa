"""Who sees which rows of the trail, page by page."""

from __future__ import annotations

import asyncio

import pytest
from leasehold.claim.wire.audit import AuditEntry
from leasehold.core.errors import Forbidden, InvalidRequest
from leasehold.core.es.audit_rows import AuditFilter
from leasehold.core.orders import Pause
from leasehold.core.principal import Principal

from tests.kit.schedulers import ANYBODY, ONE_STEP, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual
from tests.sim.steering.kit import told

ALL = Principal("root", "*", spaces=("*",), roles=("operator",))
PROVIDER = Principal("provider", "*", spaces=("*",))
STRANGER = Principal("eve", "globex")
NEIGHBOUR = Principal("ned", "acme", spaces=("lab",))


async def actions(s: Scheduler, principal: Principal, which: AuditFilter | None = None) -> list[str]:
    page = await s.replica.audit(principal, which or AuditFilter(), size=1_000, next=None)
    return [row.action for row in page.rows]


def test_people_see_the_rows_of_what_they_may_see_and_operators_of_all_tenants_the_rest() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            id = (await s.start("one")).instance_id
            await told(s, id, Pause(reason="look"))
            added = await s.replica.add_lanes(1, by=ALL)
            await asyncio.sleep(15)
            mine = ["pause", "start", "store_version", "activate"]
            assert set(await actions(s, ANYBODY)) == set(mine)
            assert await actions(s, STRANGER) == []
            assert set(await actions(s, NEIGHBOUR)) == {"store_version", "activate"}, "definitions are in all spaces"
            assert set(await actions(s, PROVIDER)) == set(mine)
            assert set(await actions(s, ALL)) == {*mine, "add_lanes", "audit.open"}
            page = await s.replica.audit(ALL, AuditFilter(action="add_lanes"), size=10, next=None)
            (row,) = page.rows
            assert (row.user, row.details) == ("root", {"lanes": [view.lane for view in added]})
            assert await actions(s, ANYBODY, AuditFilter(instance=id)) == ["pause", "start"]
            assert await actions(s, ANYBODY, AuditFilter(instance=id, action="start")) == ["start"]
            assert await actions(s, ANYBODY, AuditFilter(user="nobody")) == []
            assert await actions(s, STRANGER, AuditFilter(tenant="acme")) == []

    run_virtual(main())


def test_pages_leave_nothing_out_and_repeat_nothing() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            for _ in range(7):
                await s.start("one")
                await asyncio.sleep(0.3)
            await asyncio.sleep(15)
            whole = await s.replica.audit(ANYBODY, AuditFilter(), size=1_000, next=None)
            found: list[AuditEntry] = []
            next: str | None = None
            while True:
                page = await s.replica.audit(ANYBODY, AuditFilter(), size=2, next=next)
                found += page.rows
                next = page.next
                if next is None:
                    break
            assert tuple(found) == whole.rows
            assert [row.at for row in found] == sorted((row.at for row in found), reverse=True)
            for token in ("x", "bm9uZQ==", "W10="):
                with pytest.raises(InvalidRequest):
                    await s.replica.audit(ANYBODY, AuditFilter(), size=2, next=token)

    run_virtual(main())


def test_only_operators_of_all_tenants_export() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            for principal in (PROVIDER, ANYBODY, Principal("x", "*", roles=("operator",))):
                with pytest.raises(Forbidden):
                    await s.replica.export_audit(principal, None)
            await s.define(ONE_STEP)
            await asyncio.sleep(15)
            lines = (await s.replica.export_audit(ALL, None)).splitlines()
            assert lines[0].startswith(b'{"trail":')
            assert lines[-1] == b'{"end":{"rows":3}}'

    run_virtual(main())
