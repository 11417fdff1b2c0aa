"""Rows of changed policies on their way from the documents' outboxes into the audit trail.

A row goes to the concrete index that its document names, so that a repeat meets the row there; where that index takes
no more rows, the document names another one first, unless the row stands in the trail already. Nothing is lost with the
process: whoever looks at the documents next finds what waits.
"""

from __future__ import annotations

import asyncio

import structlog
from msgspec.structs import replace

from ...ilm import IndexNames
from ..audit import Outcome, Trail
from ..errors import StoreError
from ..es.rows_held import rows_held
from ..metrics import Metrics
from ..ports import Store
from .documents import InForce, Waiting
from .policies import Policies

log = structlog.get_logger(__name__)

_AGAIN_S = 2.0


class Delivery:
    """One replica's. `wake` when an outbox holds something; `run` brings it home."""

    def __init__(self, *, store: Store, names: IndexNames, metrics: Metrics, policies: Policies, trail: Trail) -> None:
        self._store = store
        self._alias = names.audit
        self._metrics = metrics
        self._policies = policies
        self._trail = trail
        self._wanted = asyncio.Event()
        # What became of each row that was handed over, by id and concrete index; None as long as it is under way.
        self._outcomes: dict[tuple[str, str], Outcome | None] = {}

    def wake(self) -> None:
        """There may be rows to deliver."""
        self._wanted.set()

    async def row_index(self) -> str:
        """The concrete index that a new row is to be named for. Raises: StoreError."""
        return await self._store.resolve_write_index(self._alias)

    async def run(self) -> None:
        """Deliver whenever there is something, until cancelled."""
        while True:
            await self._wanted.wait()
            self._metrics.loop("lifecycle_audit")
            try:
                await self.pass_once()
                continue
            except StoreError as error:
                log.warning("lifecycle.rows_not_delivered", error=str(error))
            except Exception:
                log.exception("lifecycle.rows_not_delivered")
            self._metrics.loop_failed("lifecycle_audit")
            await asyncio.sleep(_AGAIN_S)
            self._wanted.set()

    async def pass_once(self) -> None:
        """Hand over what waits, and take out of the documents what stands in the trail. Raises: StoreError."""
        self._wanted.clear()
        found = [one for one in await self._policies.all() if one.document is not None and one.document.outbox]
        waiting = {_key(row) for one in found if one.document is not None for row in one.document.outbox}
        self._outcomes = {key: outcome for key, outcome in self._outcomes.items() if key in waiting}
        for one in found:
            await self._see_to(one)

    async def _see_to(self, found: InForce) -> None:
        assert found.document is not None
        left = []
        for row in found.document.outbox:
            if _key(row) not in self._outcomes:
                self._hand_over(row)
            outcome = self._outcomes[_key(row)]
            if outcome is None:
                left.append(row)
            elif outcome == "closed" and (moved := await self._elsewhere(row)) is not None:
                left.append(moved)
        if tuple(left) != found.document.outbox:
            await self._policies.write(found, replace(found.document, outbox=tuple(left)))
            # Another write may have come first; and what was moved is to be handed over.
            self._wanted.set()

    def _hand_over(self, row: Waiting) -> None:
        key = _key(row)
        self._outcomes[key] = None

        def done(outcome: Outcome) -> None:
            self._outcomes[key] = outcome
            self._wanted.set()

        # Whether an earlier replica has handed it over is not known.
        self._trail.submit(row.row_id, row.row.encode(), index=row.index, done=done, repeated=True)

    async def _elsewhere(self, row: Waiting) -> Waiting | None:
        """The row, named for the index that is written to now; None where the trail has it. Raises: StoreError."""
        if await rows_held(self._store, self._alias, row.index, [row.row_id]):
            return None
        index = await self.row_index()
        if index == row.index:
            # It may take them again.
            del self._outcomes[_key(row)]
            raise StoreError(f"{index} takes no rows of the audit trail")
        return replace(row, index=index)


def _key(row: Waiting) -> tuple[str, str]:
    return row.row_id, row.index
