"""What binds searches to their caller finds what `Principal.reaches` says, in lanes and in history, by exact names."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from leasehold.core.es.lines import create_line
from leasehold.core.es.visible import visible_to
from leasehold.core.principal import Principal
from leasehold.ilm import instances

from .ground import LANE_FIELDS, Ground, Mapping

TENANTS = ["acme", "Acme", "acme.x", "acme-x", "acme_x", "a", "x" * 128]
SPACES = ["default", "soc", "SOC", "soc.a", "*", "y" * 128]


@pytest.mark.parametrize("fields", [LANE_FIELDS, instances.FIELDS], ids=["lane", "history"])
async def test_a_search_finds_what_its_caller_may_see_and_nothing_else(ground: Ground, fields: Mapping) -> None:
    index, random = await ground.make_index(fields), Random(5)
    owners = {str(n): (random.choice(TENANTS), random.choice(SPACES)) for n in range(150)}
    lines = [
        line
        for id, (tenant, space) in owners.items()
        for line in (create_line(id), msgspec.json.encode({"tenant": tenant, "space": space}))
    ]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)
    for tenant in (*TENANTS, "*", "nobody"):
        for spaces in ([space] for space in SPACES):
            caller = Principal("p", tenant, spaces=(*spaces, random.choice(SPACES)))
            body = {"query": {"bool": {"filter": visible_to(caller)}}, "size": 1_000, "_source": False}
            found = {hit.id for hit in (await ground.store.search(index, body)).hits}
            assert found == {id for id, owner in owners.items() if caller.reaches(*owner)}
