"""What stands in the definitions index: a document for each version, and one head for each name.

Both belong to a tenant; what tenant `*` stores is everybody's. Defaults are omitted, so that a head of an earlier
release, which knows `tenant`, `name`, `active`, `versions` and `description` alone, reads as one without a past.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from ...definitions import Definition
from ...definitions.plan import Plan

# An address may hold anything; only a name may become part of a document's id.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}", re.ASCII)

Action = Literal["activated", "rolled_back", "retired", "canary_began", "canary_ended", "canary_rolled_back"]


class VersionDocument(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="version"):
    tenant: str
    name: str
    version: int
    source: str
    content_hash: str
    created_at_ms: int
    created_by: str
    description: str | None = None
    labels: dict[str, str] = {}


class Activation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a head: who did what and when. `version` is active after it, or the canary that it is about.

    `before` was active until then, 0 for none. `by` is empty for what a replica did by itself; `reason` says why.
    """

    at_ms: int
    action: Action
    version: int
    by: str = ""
    before: int = 0
    reason: str | None = None


class CanaryLimit(Struct, frozen=True):
    """When a canary is removed by itself.

    At least `min_instances` of its instances have ended, and their failure rate is above that of the active version's
    by more than `margin` (0.1: ten percentage points).
    """

    margin: float = 0.1
    min_instances: int = 20


class Canary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version that some starts get: `percent` of them, and those that have all of `labels`. `rollback` None: by hand.

    Instances count that were created from `began_at_ms` on.
    """

    version: int
    began_at_ms: int
    began_by: str
    percent: float = 0.0
    labels: dict[str, str] = {}
    rollback: CanaryLimit | None = None


class WaitingRow(Struct, frozen=True):
    """A row of `workflow-audit` that is not confirmed there: its id, the concrete index it goes to, and its JSON."""

    id: str
    index: str
    row: str


class HeadDocument(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="head"):
    """`active` is 0 for a name that was deleted, or of which no version was activated yet.

    `previous` holds what was active before, latest last, for rollbacks; `activations` what happened, latest last. Both
    are bounded (`activations`). `description` is the active version's. `outbox` holds rows of the audit trail that are
    on their way, the oldest `unaudited_since_ms`; `changes` counts those that there were.
    """

    tenant: str
    name: str
    active: int
    versions: list[int]
    description: str | None = None
    previous: list[int] = []
    activations: list[Activation] = []
    canary: Canary | None = None
    outbox: list[WaitingRow] = []
    changes: int = 0
    unaudited_since_ms: int | None = None


class Compiled(Struct, frozen=True):
    """A version, ready to run."""

    document: VersionDocument
    definition: Definition
    plan: Plan
    check_params: Callable[[Mapping[str, Any]], dict[str, Any]]


def is_name(text: str) -> bool:
    """Whether a workflow may be called so."""
    return _NAME.fullmatch(text) is not None


def head_id(tenant: str, name: str) -> str:
    return f"{tenant}/{name}"


def version_id(tenant: str, name: str, version: int) -> str:
    return f"{tenant}/{name}/{version}"
