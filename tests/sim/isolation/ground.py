"""Instances of one tenant in every state that matters, two replicas, and somebody who has no business with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from leasehold.claim.wire import ClaimedStep, ErrorInfo, FailBody, StartBody
from leasehold.claim.wire.versions import ActivateBody
from leasehold.core.app.web.routes import ROUTES, Route
from leasehold.core.principal import Principal

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import SETTINGS, Scheduler, documents, new_cluster, scheduler
from tests.kit.speaking import Said, Speaking

from .table import DEFINITION, TABLE

AUDIT = "workflow-audit"
OWNER = Principal("ann", "acme", spaces=("soc",), roles=("operator",))
EVERYBODY = Principal("provider", "*")
STRANGER = {"tenant": "globex", "space": "soc", "roles": ""}
NEIGHBOUR = {"tenant": "acme", "space": "lab", "roles": ""}
COLLECTED_S = 60.0

MINE = "name: mine\nversion: 1\nsteps:\n  - {name: only, executor: other}\n"
ASKING = "name: asking\nsteps:\n  - {name: only, executor: work, requires_approval: true}\n"


class World:
    """Two replicas, of which one owns all lanes, and what tenant acme has in its space `soc`.

    `leased`, `asking` and `failed` are instances; `step` is the lease of the first.
    """

    def __init__(self, cluster: ModelElasticsearch, owner: Scheduler, other: Scheduler) -> None:
        self.cluster = cluster
        self.owner = owner
        self.other = other
        self.at_owner = Speaking(owner.replica)
        self.at_other = Speaking(other.replica)
        self.leased = self.asking = self.failed = self.step = ""

    @property
    def instances(self) -> tuple[str, ...]:
        return self.leased, self.asking, self.failed

    async def populate(self) -> None:
        replica = self.owner.replica
        for version in (b"1", b"2"):
            await replica.put_definition(EVERYBODY, "one", DEFINITION.replace(b"version: 1", b"version: " + version))
        await replica.activate_version(EVERYBODY, "one", ActivateBody(version=1))
        await replica.put_definition(EVERYBODY, "asking", ASKING.encode())
        await replica.put_definition(OWNER, "mine", MINE.encode())
        self.failed = await self.start("one")
        (step,) = await self.claim(3_600_000)
        await replica.fail(OWNER, step.step_id, FailBody(ErrorInfo("boom", "")))
        await asyncio.sleep(5)
        self.leased, self.asking = await self.start("one"), await self.start("asking")
        (step,) = await self.claim(3_600_000)
        self.step = step.step_id

    async def start(self, name: str, principal: Principal = OWNER, *, key: str | None = None) -> str:
        body = StartBody(labels={"team": principal.tenant})
        answer, _ = await self.owner.replica.start(principal, name, body, idempotency_key=key, traceparent=None)
        return answer.instance_id

    async def claim(self, lease_ms: int) -> list[ClaimedStep]:
        return await self.owner.replica.claim(
            OWNER, ("work",), max_steps=1, lease_ms=lease_ms, wait_ms=0, worker="w", request_id=None
        )

    def everything(self) -> dict[str, dict[str, Any]]:
        """All that stands of instances, live or ended, and of definitions."""
        indices = ("workflow-lane-00", "workflow-instances", "workflow-steps", "workflow-definitions", "workflow-keys")
        return {
            index: {id: one for id, one in documents(self.cluster, index).items() if id != "fence"} for index in indices
        }

    def rows(self) -> list[dict[str, Any]]:
        """The refusals in the audit trail."""
        rows = documents(self.cluster, AUDIT)
        return [row for id, row in sorted(rows.items()) if id.startswith("refused:")]


async def asked(by: Speaking, name: str, id: str, caller: dict[str, str]) -> Said:
    """Ask for the thing of that id by that route, as that caller."""
    route, row = route_of(name), TABLE[name]
    target = route.path.replace("{id}", id).replace("{name}", "closed" if "_signal" in route.path else id)
    target = target.replace("{lane}", id).replace("{family}", "audit")
    target += f"?{row.query.replace('{id}', id)}" if row.query else ""
    body = row.body
    if body is not None and not isinstance(body, bytes):
        body = msgspec.json.decode(msgspec.json.encode(body).replace(b"{id}", id.encode()))
    return await by.ask(route.method, target, body, **caller)


def route_of(name: str) -> Route:
    return next(route for route in ROUTES if route.name == name)


def like(id: str) -> str:
    """An id of the same form that nothing has."""
    instance, tilde, rest = id.partition("~")
    return f"{instance[:-4]}{'0000' if instance[-4:] != '0000' else '1111'}{tilde}{rest}"


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    cluster, peers = new_cluster(), ModelPeers()
    async with _member(cluster, peers, "a", 1) as owner, _member(cluster, peers, "b", 2) as other:
        await asyncio.sleep(10)
        if not owner.replica.owns_lanes():
            owner, other = other, owner
        found = World(cluster, owner, other)
        await found.populate()
        yield found


@asynccontextmanager
async def _member(cluster: ModelElasticsearch, peers: ModelPeers, name: str, port: int) -> AsyncIterator[Scheduler]:
    settings = msgspec.structs.replace(SETTINGS, server=msgspec.structs.replace(SETTINGS.server, port=port))
    async with scheduler(cluster, settings=settings, replica_id=name, seed=port, owning=False, peers=peers) as s:
        peers.join(f"http://127.0.0.1:{port}", s.replica)
        yield s
