"""Do live instances have their definitions?

An instance whose version is gone is not failed: it stays in its lane as it is, moves no more, and goes on when that
very version is stored again.
"""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import Struct

from ....ilm import IndexNames
from ...catalog.documents import version_id
from ...engine import Engine
from ...es.versions_in_use import versions_in_use_body, versions_of
from ...principal import EVERY_TENANT
from .found import Found

_PAGE = 1_000


class InUse(Struct, frozen=True, order=True):
    """A version that live instances of a tenant run."""

    tenant: str
    workflow: str
    version: int


def judge(in_use: dict[InUse, int], stored: set[str]) -> list[Found]:
    """Pure. `in_use` counts live instances; `stored` are the ids of the versions' documents that stand."""
    found = []
    for one, count in sorted(in_use.items()):
        ids = {version_id(tenant, one.workflow, one.version) for tenant in (one.tenant, EVERY_TENANT)}
        if not ids & stored:
            whose = f"of tenant {one.tenant}"
            they = f"1 live instance {whose} runs" if count == 1 else f"{count} live instances {whose} run"
            found.append(
                Found(
                    severity="error",
                    what=f"{they} {one.workflow} version {one.version}, which is gone.",
                    way_out="Store that very version again (leasehold workflows put), then restart the replicas: they"
                    " go on where they were. Before that they can't even be cancelled.",
                    left="only its author knows what the version said, and ending instances loses their work",
                )
            )
    return found


async def check(engine: Engine) -> list[Found]:
    """Raises: StoreError."""
    in_use = await _in_use(engine)
    ids = sorted({id for one in in_use for id in _ids_of(one)})
    stored: set[str] = set()
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        found = await engine.store.mget(engine.names.definitions, page)
        stored.update(id for id, one in zip(page, found, strict=True) if one is not None)
    return judge(in_use, stored)


def _ids_of(one: InUse) -> list[str]:
    return [version_id(tenant, one.workflow, one.version) for tenant in (one.tenant, EVERY_TENANT)]


async def _in_use(engine: Engine) -> dict[InUse, int]:
    names: IndexNames = engine.names
    counts: Counter[InUse] = Counter()
    for lane in engine.control.registry.lanes:
        after: dict[str, str | int] | None = None
        while True:
            page = await engine.store.search(names.lane(lane), versions_in_use_body(after=after, size=_PAGE))
            assert page.aggregations is not None
            versions, after = versions_of(page.aggregations)
            for key, count in versions:
                counts[msgspec.convert(key, InUse)] += count
            if len(versions) < _PAGE:
                break
    return dict(counts)
