"""Recordings of instances, and how their replays went."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct, field


class RecordingView(Struct, frozen=True, omit_defaults=True):
    """What an instance began with, all its events with what they brought, and what it was last. To be replayed.

    The form of `recording` is that of this release; `leasehold workflows check` reads it.
    """

    instance_id: str
    workflow: str
    version: int
    status: str
    recording: Raw


class RecordingList(Struct, frozen=True, omit_defaults=True):
    """One page, newest first. `next`: what to ask `after` for the next page; absent on the last."""

    recordings: list[RecordingView]
    next: str | None = None


class ReplayDifference(Struct, frozen=True, omit_defaults=True):
    """Where a replay first went another way: after event number `event` (from 1) of `instance_id`, or at the `end`.

    `path` is the step's run path, empty for the instance; `field` says what differs, `message` all of it in words.
    """

    instance_id: str
    event: int
    happened: str
    at_ms: int
    path: str
    field: str
    message: str
    recorded: Any = None
    replayed: Any = None


class ReplayView(Struct, frozen=True, omit_defaults=True):
    """How a replay went. `same`: the past is the same under `replayed_version`, the definition that was looked at.

    `events` counts those that went alike. `missing` names what history no longer has; nothing was replayed then.
    """

    instance_id: str
    workflow: str
    version: int
    replayed_version: int
    same: bool
    events: int
    difference: ReplayDifference | None = None
    missing: list[str] = field(default_factory=list)
