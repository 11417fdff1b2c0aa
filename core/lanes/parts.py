"""What a lane works with, and whom it turns to for what is not its own to decide."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

from ...ilm import IndexNames
from ...tenancy.adaptive import AdaptiveLimit
from ...tenancy.costs import Costs
from ..audit import Trail
from ..catalog import Catalog
from ..metrics import Metrics
from ..ports import Clock, Store, StoredDocument
from ..settings import Settings
from ..tenants import Tenants
from ..usage.budgets import Budgets
from .groups.places import Places
from .history import History
from .memory.ready_queue import ReadyQueue
from .memory.windows import Budget

if TYPE_CHECKING:
    from .lane import Lane
    from .memory.resident import Resident
    from .quotas.breakers import Breakers
    from .quotas.lane_quotas import Stopper
    from .quotas.share_keeper import ShareKeeper


@dataclass(frozen=True, slots=True)
class Parts:
    """The collaborators that all lanes of a replica share."""

    store: Store
    names: IndexNames
    clock: Clock
    random: Random
    settings: Settings
    metrics: Metrics
    replica_id: str
    catalog: Catalog
    queue: ReadyQueue
    budget: Budget
    history: History
    trail: Trail
    places: Places
    tenants: Tenants
    shares: ShareKeeper
    budgets: Budgets
    starts_limit: AdaptiveLimit
    costs: Costs
    breakers: Breakers
    stoppers: list[Stopper]


class LaneKeeper(Protocol):
    """Who keeps a replica's lanes (`core.engine`). All calls are synchronous."""

    def match(self) -> None:
        """Give what is ready to the claims that wait, now."""

    def step_ready(self) -> None:
        """A step joined the queue: claims that wait are to be served before this turn of the event loop ends."""

    def reload(self, lane: Lane, resident: Resident, found: StoredDocument) -> None:
        """Another writer changed the document: the instance is to start again from it."""

    def set_aside(self, lane: Lane, resident: Resident, reason: str) -> None:
        """The instance is to fail from its last stored state, for what it has become can't be stored or handled."""

    def lane_lost(self, lane: Lane, reason: str) -> None:
        """Another replica owns the lane, or what memory holds of it is in doubt: it is to be given up."""
