"""What is told of a workflow's versions over HTTP, and what may be asked for. Times are milliseconds since 1970."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from .recordings import ReplayDifference
from .values import Labels, ShortText

VersionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Percent = Annotated[float, Meta(gt=0, le=100)]


class ActivateBody(Struct, frozen=True, omit_defaults=True):
    """`if_active`: only if this version is active now."""

    version: VersionNumber
    if_active: VersionNumber | None = None


class RollbackBody(Struct, frozen=True, omit_defaults=True):
    """`if_active`: only if this version is active now. With it a repeat of the request rolls back no further."""

    if_active: VersionNumber | None = None


class CanaryRollback(Struct, frozen=True):
    """Remove the canary by itself once `min_instances` of its instances have ended and its failure rate is more than
    `margin` above the active version's; 0.1 are ten percentage points."""

    margin: Annotated[float, Meta(ge=0, le=1)] = 0.1
    min_instances: Annotated[int, Meta(ge=1, le=1_000_000)] = 20


class CanaryBody(Struct, frozen=True):
    """`percent` of the starts get the version, and those that have all of `labels`; give one or both.

    `rollback` null: it stays until somebody ends it.
    """

    version: VersionNumber
    percent: Percent | None = None
    labels: Labels = field(default_factory=dict)
    rollback: CanaryRollback | None = CanaryRollback()


class CanaryView(Struct, frozen=True, omit_defaults=True):
    """The canary as it stands. `rollback` is absent where it is not removed by itself."""

    version: int
    began_at_ms: int
    began_by: str
    percent: float | None = None
    labels: dict[str, str] = field(default_factory=dict)
    rollback: CanaryRollback | None = None


class ActivationView(Struct, frozen=True, omit_defaults=True):
    """One change: what was done to which version, by whom (absent: by the scheduler itself), and why.

    `before` is the version that was active until then.
    """

    at_ms: int
    action: Literal["activated", "rolled_back", "retired", "canary_began", "canary_ended", "canary_rolled_back"]
    version: int
    by: str | None = None
    before: int | None = None
    reason: str | None = None


class VersionView(Struct, frozen=True, omit_defaults=True):
    version: int
    created_at_ms: int
    created_by: str
    active: bool = False
    canary: bool = False
    description: str | None = None


class VersionsView(Struct, frozen=True, omit_defaults=True):
    """A workflow's versions, highest first, and what happened to them, latest first.

    `active_version` is absent for a name that is out of use; `rollback_to` is what a rollback would activate.
    `older_versions` counts those that are not listed.
    """

    name: str
    tenant: str
    versions: list[VersionView]
    activations: list[ActivationView]
    active_version: int | None = None
    rollback_to: int | None = None
    canary: CanaryView | None = None
    older_versions: int = 0


class MigrateBody(Struct, frozen=True, omit_defaults=True, rename={"from_version": "from", "to_version": "to"}):
    """Live instances of version `from` are to go on under version `to`: one of them, or up to `limit` of all.

    `after` is the `next` of the answer before. `dry_run`: say what would become of them, and change nothing.
    """

    from_version: VersionNumber
    to_version: VersionNumber
    instance_id: ShortText | None = None
    dry_run: bool = False
    after: ShortText | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class MigrationResult(Struct, frozen=True, omit_defaults=True):
    """What became of one instance. `detail` says in words why it stays."""

    instance_id: str
    outcome: Literal["migrated", "would_migrate", "differs", "stays", "ended"]
    detail: str | None = None
    difference: ReplayDifference | None = None


class MigrationResults(Struct, frozen=True, omit_defaults=True):
    """What became of the instances that were looked at; `next`: there are more, ask for them with `after`."""

    results: list[MigrationResult]
    next: str | None = None
