"""What a replica is made of: its lanes, its ready queue, and the loops that keep them.

The engine takes lanes under leases, loads them, and gives them up; requests are served by the modules that `Replica`
gathers (`starts`, `claims`, `reports`, `reads`), which find the lane of an instance here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from random import Random

import structlog

from ..ilm import IndexNames
from ..tenancy.adaptive import AdaptiveLimit
from ..tenancy.costs import Costs
from ..tenancy.quotas import Quota
from .access import Access, Refusals
from .audit import Trail
from .catalog import Catalog
from .catalog.canaries import Canaries
from .catalog.deliveries import Deliveries
from .change_feed import Change, Feeds, Watch
from .errors import LeaseholdError, NotOwner, StoreError
from .ids import lane_of
from .lanes import codec
from .lanes.groups.places import Places
from .lanes.history import History
from .lanes.lane import Lane, set_aside_event
from .lanes.memory.loading import resident_of, revoke_unanswered, with_sides
from .lanes.memory.ready_queue import ReadyQueue
from .lanes.memory.resident import Resident
from .lanes.memory.takeover import take_over
from .lanes.memory.windows import Budget
from .lanes.ownership.control import Control, LaneLease
from .lanes.ownership.draining import Draining
from .lanes.ownership.handover import answer_all, tell, within
from .lanes.ownership.safety_net import SafetyNet
from .lanes.parts import Parts
from .lanes.placement import Placement
from .lanes.quotas.breakers import Breakers
from .lanes.quotas.served_elsewhere import ServedElsewhere
from .lanes.quotas.share_keeper import ShareKeeper
from .lanes.remembering import MemoryName, Recalled, Remembering
from .lifecycle.keeper import Keeper
from .metrics import Metrics
from .peers import LookAt, Peers, QuotaAt
from .ports import Clock, Store, StoredDocument
from .principal import Principal
from .retention.retention import Retention
from .settings import Settings
from .tenants import Tenants
from .usage.budgets import Budgets
from .usage.counting import Counting

log = structlog.get_logger(__name__)

# How long one write of the control index may take at a hand-over; then the leases run out by themselves.
_GIVE_BACK_WITHIN_S = 2.0
_DELIVER_WITHIN_S = 2.0


class Engine:
    """One replica's working parts. `open` before use; `close` hands the lanes over."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        random: Random,
        settings: Settings,
        metrics: Metrics,
        replica_id: str,
        address: str,
        peers: Peers,
    ) -> None:
        self.store = store
        self.names = names
        self.clock = clock
        self.random = random
        self.settings = settings
        self.metrics = metrics
        self.replica_id = replica_id
        self.lanes: dict[str, Lane] = {}
        self.trail = Trail(store=store, names=names, clock=clock, metrics=metrics, replica_id=replica_id)
        self.refusals = Refusals(trail=self.trail, clock=clock, metrics=metrics, replica_id=replica_id)
        self.access = Access(self.refusals)
        self.tenants = Tenants(store=store, names=names, clock=clock, metrics=metrics, trail=self.trail)
        self.tenants.on_changed.append(self._rules_changed)
        costs = Costs(settings.tenancy.fair_by)
        self.queue = ReadyQueue(
            cost_of=lambda step: costs.of(step.kind),
            weight_of=lambda tenant: self.tenants.rules.weight_of(tenant),
            debt_max=costs.debt_max,
        )
        self.catalog = Catalog(store=store, names=names, clock=clock, limits=settings.limits, trail=self.trail)
        self._definition_rows = Deliveries(
            store=store,
            names=names,
            clock=clock,
            metrics=metrics,
            heads=self.catalog.heads,
            trail=self.trail,
            due=self._owns_first_lane,
        )
        self.history = History(
            store=store,
            names=names,
            clock=clock,
            random=random,
            settings=settings.history,
            metrics=metrics,
            trail=self.trail,
        )
        self.places = Places(store=store, names=names, clock=clock, lanes=self.lanes, whereabouts=self)
        self._canaries = Canaries(
            store=store,
            names=names,
            clock=clock,
            heads=self.catalog.heads,
            metrics=metrics,
            replica_id=replica_id,
        )
        self.history.on_ended = self._canaries.ended
        self.budgets = Budgets(
            store=store, names=names, clock=clock, settings=settings.usage, metrics=metrics, tenants=self.tenants
        )
        self.budgets.on_changed = self._stop_changed
        self.history.on_attempt = self.budgets.on_its_way
        self.history.on_confirmed = self._row_confirmed
        self._counting = Counting(
            store=store,
            names=names,
            clock=clock,
            settings=settings.usage,
            metrics=metrics,
            due=self._owns_first_lane,
            kept_days=settings.retention.usage_kept_days,
        )
        self.ageing = Keeper(
            store=store,
            names=names,
            clock=clock,
            settings=settings.lifecycle,
            metrics=metrics,
            replica_id=replica_id,
            trail=self.trail,
            due=self._owns_first_lane,
        )
        self.breakers = Breakers(clock=clock, metrics=metrics, tenants=self.tenants)
        self.breakers.on_changed = self._stop_changed
        self.shares = ShareKeeper(self)
        self.parts = Parts(
            store=store,
            names=names,
            clock=clock,
            random=random,
            settings=settings,
            metrics=metrics,
            replica_id=replica_id,
            catalog=self.catalog,
            queue=self.queue,
            budget=Budget(settings.windows.line_max_steps, settings.windows.max_steps),
            history=self.history,
            trail=self.trail,
            places=self.places,
            tenants=self.tenants,
            shares=self.shares,
            budgets=self.budgets,
            starts_limit=AdaptiveLimit(settings.commit.unacknowledged_max_starts),
            costs=costs,
            breakers=self.breakers,
            stoppers=[self.budgets, self.breakers],
        )
        self.control = Control(
            store=store,
            names=names,
            clock=clock,
            random=random,
            settings=settings.lanes,
            replica_id=replica_id,
            address=address,
            on_taken=self._taken,
            on_renewed=self._renewed,
            on_lost=self._lost,
            on_surplus=self._surplus,
        )
        self.draining = Draining(
            store=store,
            names=names,
            clock=clock,
            state=self.control.state,
            drop=self._drop,
            lose=self.lane_lost,
            changed=self.lanes_changed,
        )
        self.served_elsewhere = ServedElsewhere(
            queue=self.queue,
            peers=peers,
            addresses=self.control.peer_addresses,
            replica_id=replica_id,
            every_ms=settings.tenancy.exchange_every_ms,
            metrics=metrics,
        )
        self.retention = Retention(self, self._owns_first_lane)
        self._attending = False
        self._feeds = Feeds(store, clock)
        self._control_watch: Watch | None = None
        # Pairs ready steps with waiting claims; `Claims` puts its own here.
        self.serve_claims: Callable[[], None] = lambda: None
        # Called when other replicas than before own lanes; `Claims` puts its own here.
        self.owners_changed: Callable[[], None] = lambda: None
        self._owners: list[str] = []
        self._peers = peers
        self._tasks: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._look_owed = False
        self._closing = False
        self._match_scheduled = False
        self._placement = Placement()

    async def open(self) -> None:
        """Learn where things are and start the loops. Raises: StoreError."""
        await self.trail.open()
        await self.history.open()
        await self.tenants.open()
        await self.budgets.open()
        await self.control.register_lanes()
        await self.control.pass_once()
        self._spawn(self._run_control())
        self._spawn(self.history.run())
        self._spawn(self._canaries.run())
        self._spawn(self._definition_rows.run())
        self._spawn(self.tenants.run())
        self._spawn(self.shares.run())
        self._spawn(self.served_elsewhere.run())
        self._spawn(self.budgets.run())
        self._spawn(self._counting.run())
        self._spawn(self.ageing.run())
        self._spawn(self.retention.run())
        self._spawn(self.refusals.run())
        self._spawn(self.trail.run())
        await self._watch()

    async def leave(self) -> None:
        """Hand the lanes over: what is under way is answered, and the other replicas know at once. Never raises.

        History is not waited for, its outbox stands in the documents and the next owners deliver; unless there is none.
        """
        if self._closing:
            return
        self._closing = True
        if not self.control.peer_addresses():
            await self._deliver_history()
        lanes = list(self.lanes.values())
        await asyncio.gather(within(_GIVE_BACK_WITHIN_S, self.control.stop()), answer_all(lanes))
        lanes = list(self.lanes.values())
        for lane in lanes:
            self._drop(lane, "this replica is shutting down")
        await within(_GIVE_BACK_WITHIN_S, self.control.leave([lane.name for lane in lanes]))
        await self.lanes_changed()
        await within(_GIVE_BACK_WITHIN_S, self.control.sign_off())

    async def close(self) -> None:
        """Orderly end: lanes are given back unless they were, and the loops end."""
        await self.leave()
        self.breakers.close()
        self.refusals.draw_up()
        await self.trail.close()
        self.refusals.give_up()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_history(self) -> None:
        """Nobody waits for the lanes: bring to history what has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DELIVER_WITHIN_S):
                for lane in list(self.lanes.values()):
                    await lane.committer.drain()
                await self.history.drain()
                await self.trail.flush()

    def look_now(self) -> None:
        """Look at the control index without waiting for the next turn."""
        self._look.set()

    async def lanes_changed(self) -> None:
        """This replica has changed the registry or given lanes back: it looks now, and so do the others."""
        self.look_now()
        await tell(self._peers, self.control.peer_addresses(), LookAt(Principal(self.replica_id, tenant="")))

    def tell_of_quotas(self, address: str, quotas: list[Quota]) -> None:
        """Let the replica there look at these quotas: units are sought from its lanes, or were given to them."""
        request = QuotaAt(Principal(self.replica_id, tenant=""), quotas)
        self._spawn(tell(self._peers, [address], request))

    def step_ready(self) -> None:
        """A step joined the queue: claims that wait are served before this turn of the event loop ends."""
        if not self._match_scheduled and self.queue.has_matches:
            self._match_scheduled = True
            asyncio.get_running_loop().call_soon(self.match)

    def lane_for_start(self, instances: int = 1) -> Lane:
        """The lane that so many new instances go to: an open, active one of this replica's. Raises: NotOwner."""
        active = self.control.active
        lanes = self.active_lanes_here()
        if not lanes:
            others = [lease for lease in self.control.leases if lease.lane in active and self._elsewhere(lease)]
            lease = others[self.random.randrange(len(others))] if others else LaneLease(lane="of any kind")
            raise NotOwner(lease.lane, lease.address)
        return self._placement.choose(lanes, instances, now_ms=self.clock.monotonic_ms())

    def active_lanes_here(self) -> list[Lane]:
        """The lanes of this replica's that take new instances."""
        active = self.control.active
        return [lane for lane in self.lanes.values() if lane.open and lane.name in active]

    def lane_of(self, instance_id: str) -> Lane | None:
        """The open lane that holds the instance; None where the id names none. Raises: NotOwner."""
        # The form of an id is looked at only where no lane is found: one that is none finds no instance in a lane.
        lane = self.lanes.get(instance_id.partition("-")[0])
        if lane is not None and lane.open:
            return lane
        name = lane_of(instance_id)
        return None if name is None else self.lane_named(name)

    def lane_named(self, name: str) -> Lane | None:
        """The open lane of that name; None where there is none of that name. Raises: NotOwner."""
        lane = self.lanes.get(name)
        if lane is None or not lane.open:
            lease = self.control.lease(name)
            if lease is None:
                return None
            raise NotOwner(name, lease.address if self._elsewhere(lease) else None)
        return lane

    def lane_removed(self, name: str) -> bool:
        """Whether there was a lane of that name once, and is none now."""
        return self.control.registry.was_removed(name)

    async def recall(self, name: MemoryName) -> Recalled:
        """What a run that starts now is given as `memory`. Raises: StoreError."""
        return await Remembering(self.store, self.names.keys).recall(name)

    @property
    def active_lanes(self) -> Collection[str]:
        """The lanes that take new instances."""
        return self.control.active

    def other_addresses(self) -> list[str]:
        """Where the other replicas that own lanes answer."""
        return sorted({lease.address for lease in self.control.leases if self._elsewhere(lease) and lease.address})

    def _owns_first_lane(self) -> bool:
        """Whether it is this replica that sees to what one replica sees to: counting usage, the ageing of history."""
        first = self.lanes.get(min((lease.lane for lease in self.control.leases), default=""))
        return first is not None and first.open

    def _elsewhere(self, lease: LaneLease) -> bool:
        return lease.owner is not None and lease.owner != self.replica_id

    def reload(self, lane: Lane, resident: Resident, found: StoredDocument) -> None:
        """Another writer changed the document: start again from it."""
        self._spawn(self._or_lose(lane, self._reload(lane, resident, found)))

    def set_aside(self, lane: Lane, resident: Resident, reason: str) -> None:
        """The document can't be stored as it has become: fail the instance from its last stored state."""
        self._spawn(self._or_lose(lane, self._set_aside(lane, resident, reason)))

    def lane_lost(self, lane: Lane, reason: str) -> None:
        """Give up a lane that another replica owns by now."""
        if self.lanes.get(lane.name) is lane:
            log.warning("lane.lost", lane=lane.name, epoch=lane.epoch, reason=reason)
            self.control.abandon(lane.name)
        self._drop(lane, reason)

    def match(self) -> None:
        self._match_scheduled = False
        self.serve_claims()

    def _taken(self, lease: LaneLease, trusted_until_ms: int) -> None:
        lane = Lane(lease.lane, lease.epoch, self.parts, self)
        lane.trusted_until_ms = trusted_until_ms
        old = self.lanes.get(lease.lane)
        if old is not None:
            self._drop(old, "taken again under a new epoch")
        self.lanes[lease.lane] = lane
        self._spawn(self._load(lane))

    def _renewed(self, name: str, trusted_until_ms: int) -> None:
        lane = self.lanes.get(name)
        if lane is not None:
            lane.trusted_until_ms = trusted_until_ms

    def _lost(self, name: str) -> None:
        lane = self.lanes.get(name)
        if lane is not None:
            self.lane_lost(lane, "its lease was taken by another replica")

    def _surplus(self, name: str) -> None:
        """Another replica should own the lane: hand it over, once."""
        lane = self.lanes.get(name)
        if lane is not None and lane.open:
            lane.leave()
            self._spawn(self._hand_over(lane))

    async def _hand_over(self, lane: Lane) -> None:
        """Answer what is under way, then give the lane back; its next owner finds the rest in the documents."""
        log.info("lane.handed_over", lane=lane.name, epoch=lane.epoch)
        await answer_all([lane])
        self._drop(lane, "it is being handed over to another replica")
        await within(_GIVE_BACK_WITHIN_S, self.control.release([lane.name]))
        await self.lanes_changed()

    def _drop(self, lane: Lane, reason: str) -> None:
        if self.lanes.get(lane.name) is lane:
            del self.lanes[lane.name]
        self.history.forget(lane)
        self.budgets.forget_lane(lane.name)
        lane.close(reason)

    async def _load(self, lane: Lane) -> None:
        try:
            await take_over(lane)
        except Exception as error:
            # The lease is kept and not renewed as ours: the next pass of control takes it under a new epoch.
            expected = isinstance(error, LeaseholdError)
            log.warning(
                "lane.take_over_failed", lane=lane.name, epoch=lane.epoch, error=repr(error), exc_info=not expected
            )
            self._drop(lane, str(error))
            self.control.abandon(lane.name)
            if self.control.state(lane.name) == "removing":
                await self.draining.finish(lane.name)
        else:
            lane.open = not (self._closing or lane.closed)
            await asyncio.gather(lane.residency.run(), lane.children.run(), lane.start_trail.run())

    async def _watch(self) -> None:
        """Be woken by what others write: definitions, control documents, and as a safety net the lanes."""
        await self._feeds.open(self.names.control)
        self.control.renews_with_others = self._feeds.kind == "fleet"
        definitions = self._feeds.of(self.names.definitions)
        # Most changes of the control index are renewals, after which nothing is more urgent than before.
        pace_ms = self.settings.lanes.observe_every_ms
        control = self._feeds.of(self.names.control, shortest_ms=pace_ms, longest_ms=pace_ms)
        self._control_watch = Watch(control, self._control_changed, self.metrics)
        net = SafetyNet(looks=self._feeds.looks, parts=self.parts, keeper=self, lanes=self.lanes)
        self._spawn(Watch(definitions, self._definitions_changed, self.metrics).run())
        self._spawn(Watch(self._feeds.of(self.names.tenants), self.tenants.changed, self.metrics).run())
        self._spawn(self._control_watch.run())
        self._spawn(net.run())

    def _rules_changed(self) -> None:
        """What is in force for tenants is another thing than before."""
        self.served_elsewhere.weights_change()
        self.queue.reweigh()
        for lane in self.lanes.values():
            lane.quotas.rules_changed()

    def _stop_changed(self, tenant: str) -> None:
        """A budget or a breaker stops the tenant, or does so no more."""
        for lane in self.lanes.values():
            lane.quotas.reopen(tenant)

    def _row_confirmed(self, row_id: str, tenant: str) -> None:
        self.budgets.confirmed(row_id, tenant)
        self._counting.delivered()

    def _definitions_changed(self, _change: Change) -> None:
        self.catalog.forget_heads()
        self._definition_rows.definitions_changed()

    def _control_changed(self, _change: Change) -> None:
        self.look_now()

    async def _run_control(self) -> None:
        while True:
            changed = await self._wait_to_look()
            self.metrics.loop("control")
            try:
                await self.control.pass_once(changed=changed)
                self._tell_of_owners()
                self._attend_to_leaving_lanes()
            except StoreError as error:
                self._look_owed = True
                log.warning("control.pass_failed", error=str(error))
            except Exception:
                # A replica that renews nothing any more would lose its lanes for good; the next pass reads all anew.
                self._look_owed = True
                self.metrics.loop_failed("control")
                log.exception("control.pass_failed")

    def _tell_of_owners(self) -> None:
        owners = self.other_addresses()
        if owners != self._owners:
            self._owners = owners
            self.owners_changed()

    def _attend_to_leaving_lanes(self) -> None:
        if not self._attending and self.draining.due(self.lanes.values()):
            self._attending = True
            self._spawn(self._attend())

    async def _attend(self) -> None:
        try:
            await self.draining.pass_once(list(self.lanes.values()))
        except StoreError as error:
            log.warning("lanes.draining_failed", error=str(error))
        finally:
            self._attending = False

    async def _wait_to_look(self) -> bool:
        """Until the control index has changed, at most for one turn; returns whether it has, or may have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.lanes.observe_every_ms / 1_000):
                await self._look.wait()
        blind = self._control_watch is None or self._control_watch.blind
        changed = blind or self._look_owed or self._look.is_set()
        self._look_owed = False
        self._look.clear()
        return changed

    async def _or_lose(self, lane: Lane, work: Coroutine[None, None, None]) -> None:
        """What can't be read leaves memory in doubt: the lane is given up, and read anew as a whole."""
        try:
            await work
        except LeaseholdError as error:
            self.lane_lost(lane, str(error))

    async def _reload(self, lane: Lane, resident: Resident, found: StoredDocument) -> None:
        fresh, bookkeeping = await self._rebuild(lane, resident, found)
        revoke_unanswered(lane, fresh, bookkeeping)

    async def _set_aside(self, lane: Lane, resident: Resident, reason: str) -> None:
        found = await self.store.get(lane.index, resident.id)
        if found is None:
            lane.gone(resident)
            return
        fresh, _ = await self._rebuild(lane, resident, found)
        lane.apply(fresh, set_aside_event(self.clock.now_ms(), reason))

    async def _rebuild(
        self, lane: Lane, resident: Resident, found: StoredDocument
    ) -> tuple[Resident, codec.Bookkeeping]:
        lane.withdraw(resident)
        lane.quotas.left(resident)
        instance, bookkeeping = codec.decode_document(found.source)
        (instance,) = await with_sides(self.store, lane.index, [instance])
        assert found.version is not None
        fresh = resident_of(lane, instance, bookkeeping, found.version)
        lane.residents[fresh.id] = fresh
        lane.instances.replaced(resident, fresh)
        lane.install(fresh)
        return fresh, bookkeeping

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.metrics.loop_failed("engine")
            log.error("engine.task_failed", exc_info=task.exception())
