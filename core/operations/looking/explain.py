"""Gathers the facts for `core.explaining`: what only the owner's memory, the control index, or peers know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec.structs import replace

from ....claim.wire import Explanation
from ....definitions.plan import Plan
from ....tenancy.quotas import EVERY
from ....tenancy.rules import Rules
from ....tenancy.stops import Stop
from ...engine import Engine
from ...errors import LeaseholdError, NotFound, NotOwner, StoreError
from ...es.ready_before import ready_before_body
from ...explaining import Facts, Holding, LaneFacts, Placing, QuotaFacts, explain
from ...explaining.facts import GroupFacts
from ...ids import lane_of
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...machine.state import Instance, StepStatus
from ...peers import ExplainAt, Peers, Relayed, SeenAt
from ...principal import EVERY_TENANT, Principal
from ..claiming.executors import Executors
from .reads import Reads

_CHILDREN_MAX = 20


class Explain:
    """Answered by the owner of the instance's lane; by any replica, with what it knows, while there is none."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers, executors: Executors) -> None:
        self._engine = engine
        self._reads = reads
        self._peers = peers
        self._executors = executors

    async def why(self, principal: Principal, instance_id: str) -> Explanation:
        """Raises: NotFound."""
        silent = False
        try:
            self._engine.lane_of(instance_id)
        except NotOwner as owner:
            if owner.address is not None:
                answer = await self._owners(principal, instance_id, owner.address)
                if answer is not None:
                    return answer
                silent = True
        return await self.here(principal, instance_id, silent=silent)

    async def here(
        self, principal: Principal, instance_id: str, *, deep: bool = True, silent: bool = False
    ) -> Explanation:
        """By what this replica knows. `silent`: the lane's owner does not answer. Raises: NotFound."""
        found = await self._reads.stored(principal, instance_id, "explain")
        if found is None:
            raise NotFound("instance", instance_id)
        lane = self._engine.lanes.get(lane_of(instance_id) or "")
        resident = lane.residents.get(instance_id) if lane is not None and lane.open else None
        instance = found.instance if resident is None else resident.instance
        plan = await self._plan(instance)
        children = await self._children(principal, instance) if deep else {}
        facts = await self._facts(instance, plan, found.live, lane, resident)
        facts = replace(facts, lane=replace(facts.lane, silent=silent), children=children)
        if not principal.operator:
            facts = replace(facts, placings=_without_others(facts.placings))
        return explain(instance, plan, facts)

    async def _owners(self, principal: Principal, instance_id: str, address: str) -> Explanation | None:
        """What the owner says; None where it does not answer, which is worth telling by itself."""
        try:
            return (await self._peers.ask(address, ExplainAt(principal, instance_id))).explanation
        except Relayed as error:
            if error.problem.status == 404:
                raise
            return None
        except LeaseholdError:
            return None

    async def _plan(self, instance: Instance) -> Plan | None:
        try:
            return await self._engine.catalog.plan(instance.definition_tenant, instance.workflow, instance.version)
        except NotFound:
            return None

    async def _facts(
        self, instance: Instance, plan: Plan | None, live: bool, lane: Lane | None, resident: Resident | None
    ) -> Facts:
        owned = lane is not None and lane.open
        group, quota = await self._queued(instance, lane) if lane is not None and owned else (None, None)
        return Facts(
            now_ms=self._engine.clock.now_ms(),
            live=live,
            lane=self._lane_facts(instance.id, owned),
            holdings={} if resident is None else self._holdings(resident),
            placings=await self._placings(instance, plan, lane) if lane is not None and owned else {},
            group=group,
            quota=quota,
            quotas=_quotas(instance, plan, lane) if lane is not None and owned else {},
            history_lag_records=self._engine.history.lag_records,
            history_lag_ms=self._engine.history.lag_ms,
        )

    def _lane_facts(self, instance_id: str, owned: bool) -> LaneFacts:
        engine, control = self._engine, self._engine.control
        name = lane_of(instance_id) or ""
        lease = control.lease(name)
        me = engine.replica_id
        return LaneFacts(
            name,
            owner=me if owned else None if lease is None else lease.owner,
            dead=not owned and name not in {held.lane for held in control.owned_elsewhere()},
            should_own=control.should_own(name),
            lease_ms=engine.settings.lanes.lease_ms,
        )

    def _holdings(self, resident: Resident) -> dict[str, Holding]:
        now_ms, monotonic_ms = self._engine.clock.now_ms(), self._engine.clock.monotonic_ms()
        progress = resident.progress or {}
        return {
            path: Holding(now_ms + until_ms - monotonic_ms, *progress.get(path, (None, None)))
            for path, until_ms in resident.leases.items()
        }

    async def _placings(self, instance: Instance, plan: Plan | None, lane: Lane) -> dict[str, Placing]:
        ready = [path for path, state in instance.steps.items() if state.status is StepStatus.READY]
        if not ready or plan is None:
            return {}
        capabilities = {path: plan.step(path).executor for path in ready}
        askers, peers, silent = await self._askers(set(capabilities.values()), instance.tenant)
        placings = {}
        for path, capability in capabilities.items():
            ahead, or_more = await self._ahead(instance, path, capability, lane)
            of_tenant = sum(one.windows.size(instance.tenant, capability) for one in self._engine.lanes.values())
            of_others = max(0, self._engine.queue.size(capability) - of_tenant)
            placings[path] = Placing(ahead, or_more, of_others, tuple(askers[capability]), peers, silent)
        return placings

    async def _ahead(self, instance: Instance, path: str, capability: str, lane: Lane) -> tuple[int, bool]:
        """How many steps of its line are ahead in this replica's lanes, and whether there may be more."""
        age_step_ms = self._engine.settings.lanes.age_step_ms
        rank = instance.steps[path].ready_at_ms + instance.priority * age_step_ms
        ahead, or_more = 0, False
        for one in self._engine.lanes.values():
            offered, complete = one.windows.before(instance.tenant, capability, rank)
            if not complete:
                offered, sure = await self._indexed(one, instance.tenant, capability, rank, offered)
                or_more = or_more or not sure
            ahead += offered
        return ahead, or_more

    async def _indexed(self, lane: Lane, tenant: str, capability: str, rank: int, offered: int) -> tuple[int, bool]:
        """By the lane's index, as of its last refresh; at least what memory knows where that does not answer."""
        try:
            page = await self._engine.store.search(
                lane.index, ready_before_body(tenant=tenant, capability=capability, rank=rank)
            )
        except StoreError:
            return offered, False
        return max(offered, page.total or 0), True

    async def _askers(self, capabilities: set[str], tenant: str) -> tuple[dict[str, list[str]], int, int]:
        """Who asks here and at the other replicas, how many these are, and how many of them did not say."""
        found = self.seen(sorted(capabilities), tenant)
        addresses = self._engine.control.peer_addresses()
        asked = [self._seen_at(address, sorted(capabilities), tenant) for address in addresses]
        answers = await asyncio.gather(*asked)
        for answer in answers:
            for capability, workers in (answer or {}).items():
                found[capability] = sorted({*found.get(capability, []), *workers})
        return found, len(addresses), sum(answer is None for answer in answers)

    async def _seen_at(self, address: str, capabilities: list[str], tenant: str) -> dict[str, list[str]] | None:
        request = SeenAt(Principal(self._engine.replica_id, tenant=tenant), capabilities)
        try:
            return (await self._peers.ask(address, request)).seen
        except LeaseholdError:
            return None

    def seen(self, capabilities: list[str], tenant: str) -> dict[str, list[str]]:
        """Who has asked this replica for work of these capabilities, for that tenant or for all."""
        return {capability: self._executors.of(capability, (tenant, EVERY_TENANT)) for capability in capabilities}

    async def _children(self, principal: Principal, instance: Instance) -> dict[str, Explanation]:
        """What the children wait for, one level down; of many, the first."""
        ids = [child.id for state in instance.steps.values() if state.flow for child in state.flow.children]
        found: dict[str, Explanation] = {}
        for id in ids[:_CHILDREN_MAX]:
            try:
                found[id] = await self.here(principal, id, deep=False)
            except NotFound:
                # It is about to begin.
                continue
        return found

    async def _queued(self, instance: Instance, lane: Lane) -> tuple[GroupFacts | None, QuotaFacts | None]:
        """What keeps a queued instance from beginning: its group has no slot for it, or its tenant is at a limit."""
        if not instance.queued:
            return None, None
        group = await self._group(instance, lane)
        stop = lane.admission.why(instance)
        if stop is None or (group is not None and (len(group.holders) >= group.limit or group.ahead)):
            return group, None
        return None, _quota_facts(stop, instance.tenant, self._engine.tenants.rules)

    async def _group(self, instance: Instance, lane: Lane) -> GroupFacts | None:
        standing = await lane.groups.standing(instance)
        if standing is None:
            return None
        return GroupFacts(standing.limit, tuple(standing.holders), max(0, standing.ahead))


def _quotas(instance: Instance, plan: Plan | None, lane: Lane) -> dict[str, QuotaFacts]:
    """What keeps ready steps from being claimed, by run path."""
    ready = [path for path, state in instance.steps.items() if state.status is StepStatus.READY]
    if plan is None:
        return {}
    stops = {path: lane.quotas.why(instance.tenant, plan.step(path).executor) for path in ready}
    rules = lane.parts.tenants.rules
    return {path: _quota_facts(stop, instance.tenant, rules) for path, stop in stops.items() if stop is not None}


def _quota_facts(stop: Stop, tenant: str, rules: Rules) -> QuotaFacts:
    document, path = EVERY, stop.quota
    if not stop.of_all:
        document, path = (tenant, path) if tenant in rules.tenants else (EVERY, f"defaults.{path}")
    return QuotaFacts(stop.quota, stop.used, stop.allowed, stop.reason, document, path)


def _without_others(placings: Mapping[str, Placing]) -> dict[str, Placing]:
    """How much other tenants wait for is the operators' to know."""
    return {path: replace(placing, of_others=0) for path, placing in placings.items()}
