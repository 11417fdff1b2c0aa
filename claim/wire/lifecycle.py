"""What is told over HTTP of how history ages. Spans are milliseconds, `null` where something is kept for ever."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

BackendName = Literal["ilm", "ager"]


class PolicyView(Struct, frozen=True, kw_only=True):
    """The policy that is in force for one family of history (`steps`, `instances`, `events`, `audit`).

    `source`: where it comes from, a document that somebody wrote or this release's default. `policy` is it, in the
    shape of Elastic's own policies. `revision` counts the changes, 0 before the first. `retention_ms`: from an index's
    roll-over to its deletion, so every row is kept at least that long; null: for ever. `error`: why the document that
    stands is not obeyed, in which case nothing of the family ages and `policy` is null.
    """

    family: str
    source: Literal["default", "document"]
    policy: dict[str, Any] | None
    revision: int
    retention_ms: int | None
    updated_by: str | None = None
    updated_at_ms: int | None = None
    error: str | None = None


class PolicyChanged(Struct, frozen=True):
    """What was in force, and what is now. `changed` is false where that is the same, and nothing was written."""

    before: PolicyView
    after: PolicyView
    changed: bool


class AgeingIndex(Struct, frozen=True, kw_only=True):
    """One concrete index of history: how old it is, what was done to it, what is next and when.

    `age_ms` counts from its roll-over, or from its creation as long as it was not `rolled`. `done`: the actions of its
    policy that are carried out, as `<phase>.<action>`; `due`: those that the next pass carries out. `next` is the phase
    that it comes to, at `next_at_ms`; null where there is none, or where its roll-over comes first. `under_way`: what
    is being done now. `error`: what went wrong, or keeps it from going on. `not_carried_out`: actions of the policy
    that the backend leaves out, with the reason.
    """

    index: str
    family: str
    phase: str
    writes: bool
    rolled: bool
    age_ms: int
    docs: int
    bytes: int
    done: list[str]
    due: list[str] = []
    next: str | None = None
    next_at_ms: int | None = None
    under_way: str | None = None
    error: str | None = None
    not_carried_out: list[str] = []


class LastPass(Struct, frozen=True, kw_only=True):
    """The last time that a replica saw to the ageing. `error`: why it did not come to its end."""

    at_ms: int
    replica: str
    error: str | None = None
    done: list[str] = []


class LifecycleView(Struct, frozen=True, kw_only=True):
    """How history ages on this cluster.

    `backend` carries the policies out: Elasticsearch's own index lifecycle management (`ilm`), or this release itself
    where the cluster has none (`ager`). `run_on_a_server`: whether that backend has ever run against a real server, or
    was only checked against Elastic's published interface. `last_pass` is null until there was one; one is due every
    `every_ms`. `findings`: what keeps history from ageing, a sentence each.
    """

    backend: BackendName
    run_on_a_server: bool
    now_ms: int
    every_ms: int
    last_pass: LastPass | None
    findings: list[str]
    policies: list[PolicyView]
    indices: list[AgeingIndex]
