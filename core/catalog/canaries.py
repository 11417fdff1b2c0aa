"""Automatic rollback of canaries, by any replica that sees instances of them end.

Counts come from history, so they are the same for whoever looks, and outlive every replica. What makes a replica look
is that it has seen instances end whose rows a search can find by now: an idle cluster is never asked. Which of several
replicas removes a canary the conditional write of the head decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from ...ilm import IndexNames
from ..errors import StoreError
from ..es.version_outcomes import outcomes_of, version_outcomes_body
from ..metrics import Metrics
from ..ports import Clock, Store
from ..principal import EVERY_TENANT, Principal
from .activations import without_canary
from .documents import HeadDocument
from .heads import Heads
from .judging import Outcomes, fault_of

log = structlog.get_logger(__name__)

# A canary's failures are counted this often at most, however many instances end.
_PACE_S = 2.0

Workflow = tuple[str, str]
"""The tenant that a definition belongs to, and its name."""


class Canaries:
    """One replica's judge. `judge_once` is the work; `run` does it while instances of canaries end."""

    def __init__(
        self, *, store: Store, names: IndexNames, clock: Clock, heads: Heads, metrics: Metrics, replica_id: str
    ) -> None:
        self._principal = Principal(f"(replica {replica_id})", EVERY_TENANT)
        self._store = store
        self._index = names.instances
        self._clock = clock
        self._heads = heads
        self._metrics = metrics
        self._ended: set[Workflow] = set()
        self._wanted = asyncio.Event()

    def ended(self, workflows: Iterable[Workflow]) -> None:
        """Instances of these have ended, and a search finds their rows."""
        self._ended.update(workflows)
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled: look whenever instances of a workflow with a canary have ended, at a bounded pace."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if await self.judge_once():
                self._metrics.loop("canaries")
                await asyncio.sleep(_PACE_S)

    async def judge_once(self) -> bool:
        """Judge the canaries of which instances have ended; whether there was any."""
        ended, self._ended = self._ended, set()
        busy = False
        for tenant, name in ended:
            try:
                head = await self._heads.known(tenant, name)
                if head is not None and head.canary is not None and head.canary.rollback is not None:
                    busy = True
                    await self._judge(tenant, name)
            except StoreError as error:
                busy = True
                log.warning("canary.not_judged", workflow=name, tenant=tenant, error=str(error))
                self.ended([(tenant, name)])
        return busy

    async def _judge(self, tenant: str, name: str) -> None:
        """Counts and the write belong to one reading of the head: after a lost race all of it is looked at anew."""
        head, at = await self._heads.stored(tenant, name)
        if head is None or head.canary is None:
            return
        fault = fault_of(head.canary, head.active, await self._outcomes(head))
        if fault is None:
            return
        after = without_canary(head, at_ms=self._clock.now_ms(), reason=fault)
        if await self._heads.write(self._principal, head, after, at):
            self._metrics.canary_rolled_back()
            log.warning(
                "canary.rolled_back", workflow=name, tenant=tenant, version=head.canary.version, active=head.active,
                reason=fault,
            )  # fmt: skip
        else:
            self.ended([(tenant, name)])

    async def _outcomes(self, head: HeadDocument) -> Outcomes:
        assert head.canary is not None
        body = version_outcomes_body(
            definition_tenant=head.tenant,
            workflow=head.name,
            versions=(head.active, head.canary.version),
            created_from_ms=head.canary.began_at_ms,
        )
        page = await self._store.search(self._index, body)
        assert page.aggregations is not None
        return outcomes_of(page.aggregations)
