"""What a lifecycle backend does: it makes rolled indices age as their policies say.

Two backends stand behind this (ADR 27): Elasticsearch's own index lifecycle management, and the ager, which does the
same with plain requests where a cluster lacks it. Both carry out the same documents (`ilm.policies`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from ..policies import Policy

BackendName = Literal["ilm", "ager"]


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that a pass did, or could not do.

    `index` is the concrete index, "" for what concerns the family as a whole. `detail` is a sentence on what came of
    it. `error` is a sentence for what was refused, with the way out. Where somebody else was quicker, nothing is told.
    """

    family: str
    index: str
    action: str
    detail: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatus:
    """Where one concrete index stands in its policy.

    `phase` is the phase that it is in. Its age counts from `rolled_at_ms`; while that is None, `created_at_ms` says how
    old it is, and nothing but its roll-over is due. `done`: the actions of its policy that are carried out, as
    `<phase>.<action>`. `due`: those that the next pass carries out. `next_phase` and `next_at_ms`: what comes next and
    when; None where nothing does, or where its roll-over comes first. `under_way`: what is being done at the moment.
    `error`: what went wrong or keeps it from going on, with the way out. `not_carried_out`: actions that this backend
    leaves out, each with the reason.
    """

    family: str
    index: str
    phase: str
    is_write_index: bool
    created_at_ms: int
    rolled_at_ms: int | None
    docs: int
    bytes: int
    done: tuple[str, ...] = ()
    due: tuple[str, ...] = ()
    next_phase: str | None = None
    next_at_ms: int | None = None
    under_way: str | None = None
    error: str | None = None
    not_carried_out: tuple[str, ...] = ()


class Lifecycle(Protocol):
    """One backend. Everything it knows stands in the cluster: any replica may call it, also several at once.

    Each method raises what `Requests` raises when nobody answers, and `LifecycleRefused` for what makes the whole call
    pointless, such as a missing privilege. What fails for one index is told in the result, and the others go on.
    """

    @property
    def name(self) -> BackendName: ...

    @property
    def run_on_a_server(self) -> bool:
        """Whether this backend has ever run against a real server, or only against Elastic's published interface."""

    async def apply(self, policies: Mapping[str, Policy]) -> list[str]:
        """Make the cluster obey these policies, by family; returns a sentence for each thing that was changed."""

    async def pass_once(self, policies: Mapping[str, Policy], now_ms: int) -> list[Done]:
        """Do what is due now. May break off at any request; the next pass, here or elsewhere, does the rest."""

    async def status(self, policies: Mapping[str, Policy], now_ms: int) -> list[IndexStatus]:
        """Where every concrete index of these families stands: by family, the oldest first."""

    async def findings(self, policies: Mapping[str, Policy]) -> list[str]:
        """What keeps indices from ageing at all, a sentence each with the way out; empty when all is well."""
