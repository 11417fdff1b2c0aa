"""Sees to it that history ages as its policies say: the owner of the first lane does, and nobody else.

It reads the policies every few seconds, makes the cluster obey where they are others than before, and lets the backend
(`ilm.lifecycle`) do what is due. Two owners for a moment do no harm, since both backends allow for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
import structlog
from msgspec import Struct

from ...ilm import IlmError, IndexNames
from ...ilm.lifecycle import Done, Lifecycle, cluster_time_ms, lifecycle_for
from ...ilm.policies import Policy
from ..audit import Trail
from ..errors import LeaseholdError
from ..es.lines import put_line
from ..metrics import Metrics
from ..ports import Clock, Store
from ..settings import LifecycleSettings
from .delivery import Delivery
from .documents import InForce
from .policies import Policies

log = structlog.get_logger(__name__)

LOOK_EVERY_MS = 15_000
"""How often the owner of the first lane looks whether policies have changed: a change is obeyed within that."""

NOTE_ID = "lifecycle"
_TOLD_MAX = 50
_RETRY_MS = 15_000


class LastPassDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="lifecycle"):
    """The last pass, in the control index: when, by whom, what it did, and why it did not come to its end."""

    at_ms: int
    replica: str
    done: list[str] = []
    error: str | None = None


class Keeper:
    """One replica's. `due` says whether it is this one's turn. Any replica may read and change `policies`, and ask the
    `backend` how things stand."""

    def __init__(
        self,
        *,
        store: Store,
        names: IndexNames,
        clock: Clock,
        settings: LifecycleSettings,
        metrics: Metrics,
        replica_id: str,
        trail: Trail,
        due: Callable[[], bool],
    ) -> None:
        self.policies = Policies(store, names)
        self.delivery = Delivery(store=store, names=names, metrics=metrics, policies=self.policies, trail=trail)
        self.backend: Lifecycle = lifecycle_for(store.request, names, store.capabilities)
        self._store = store
        self._control = names.control
        self._clock = clock
        self._every_ms = settings.every_ms
        self._metrics = metrics
        self._replica_id = replica_id
        self._due = due
        self._look = asyncio.Event()
        # The policies of the last pass, and those that the cluster was told to obey; None: not by this replica.
        self._tried: dict[str, Policy] | None = None
        self._applied: dict[str, Policy] | None = None
        self._told_of: dict[str, str] = {}
        self._next_pass_ms = 0
        self._waiting: set[str] = set()

    def changed(self) -> None:
        """This replica has changed a policy: it is obeyed, and its row delivered, without waiting for the next look."""
        self._look.set()
        self.delivery.wake()

    async def run(self) -> None:
        """Look, pass when it is time or something has changed, and deliver what waits, until cancelled."""
        await asyncio.gather(self._run(), self.delivery.run())

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_MS / 1_000):
                    await self._look.wait()
            self._look.clear()
            if not self._due():
                # Another replica sees to it; when it is this one's turn again, it says so to the cluster anew.
                self._tried = self._applied = None
                continue
            self._metrics.loop("lifecycle")
            try:
                await self.look_once()
            except (LeaseholdError, IlmError) as error:
                log.warning("lifecycle.pass_failed", error=str(error))
                self._metrics.loop_failed("lifecycle")
            except Exception:
                log.exception("lifecycle.pass_failed")
                self._metrics.loop_failed("lifecycle")

    async def look_once(self) -> None:
        """Read the policies; make a pass if one is due. Raises: StoreError; IlmError."""
        found = await self.policies.all()
        self._wake_delivery(found)
        self._tell_of_faults(found)
        policies = {one.family: one.policy for one in found if one.policy is not None}
        if policies != self._tried or self._clock.monotonic_ms() >= self._next_pass_ms:
            await self._pass(policies)

    async def _pass(self, policies: dict[str, Policy]) -> None:
        """One pass, and a note of it in the control index, also of one that fails."""
        self._tried = policies
        self._next_pass_ms = self._clock.monotonic_ms() + self._every_ms
        told: list[str] = []
        try:
            await self._age(policies, told)
        except Exception as error:
            self._next_pass_ms = self._clock.monotonic_ms() + min(self._every_ms, _RETRY_MS)
            await self._note(told, str(error) or repr(error))
            raise
        await self._note(told, None)

    async def _age(self, policies: dict[str, Policy], told: list[str]) -> None:
        if policies != self._applied:
            for sentence in await self.backend.apply(policies):
                log.info("lifecycle.applied", backend=self.backend.name, detail=sentence)
                told.append(sentence)
            self._applied = policies
        # A replica whose clock is ahead would delete what is young.
        now_ms = await cluster_time_ms(self._store.request)
        for done in await self.backend.pass_once(policies, now_ms):
            self._tell(done)
            told.append(done.error or done.detail)

    def _tell(self, done: Done) -> None:
        self._metrics.aged(done.family, done.action, failed=done.error is not None)
        told = log.bind(family=done.family, index=done.index, action=done.action)
        if done.error is None:
            told.info("lifecycle.done", detail=done.detail)
        else:
            told.warning("lifecycle.not_done", error=done.error)

    async def _note(self, told: Sequence[str], failure: str | None) -> None:
        """Say when the last pass was. Where that can't be written now, the next one will."""
        last = LastPassDocument(
            at_ms=self._clock.now_ms(), replica=self._replica_id, done=list(told[:_TOLD_MAX]), error=failure
        )
        with suppress(LeaseholdError):
            await self._store.bulk([put_line(NOTE_ID), msgspec.json.encode(last)], index=self._control)

    def _wake_delivery(self, found: Sequence[InForce]) -> None:
        """Bring home what the last look has seen waiting too: whoever changed the policy may have died."""
        waiting = {row.row_id for one in found if one.document is not None for row in one.document.outbox}
        if waiting & self._waiting:
            self.delivery.wake()
        self._waiting = waiting

    def _tell_of_faults(self, found: Sequence[InForce]) -> None:
        """Each fault once: nothing of that family ages."""
        faults = {one.family: one.fault for one in found if one.fault is not None}
        for family, fault in faults.items():
            if self._told_of.get(family) != fault:
                log.error("lifecycle.policy_invalid", family=family, fault=fault)
        self._told_of = faults
        self._metrics.policies_invalid(len(faults))
