"""What a claimer without ownership is told, and what it answers."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ..http1 import Address

Kind = Literal["mget", "search"]


class PollerSetup(Struct, frozen=True):
    """One node: it claims from the tasks in `index`."""

    elasticsearch: Address
    index: str
    node: str


class Poll(Struct, frozen=True):
    """Claim from `begin_ns` on for so long. `capacity` tasks at most a cycle; `nodes` are all that claim.

    `kind` is Kibana's cycle, or a search and an update. `interval_ms` lies between the beginnings of cycles; 0 means
    no pause.
    """

    kind: Kind
    begin_ns: int
    duration_s: float
    capacity: int
    interval_ms: int
    nodes: list[str]
    seed: str


class Cycle(Struct, frozen=True, array_like=True):
    """One claim cycle: its moments, and how many tasks it claimed, lost to others, and found stale."""

    began_ns: int
    ended_ns: int
    claimed: int
    conflicts: int
    stale: int


class Polled(Struct, frozen=True):
    """`numbers` are those of the tasks claimed; `cpu_ns` is what the claimer itself used of the processors."""

    cycles: list[Cycle]
    numbers: list[int]
    cpu_ns: int


class TaskSeederSetup(Struct, frozen=True):
    elasticsearch: Address
    index: str


class SeedTasks(Struct, frozen=True):
    """Write tasks that are due, numbered from `first` on, and make them searchable."""

    documents: int
    first: int


class SeededTasks(Struct, frozen=True):
    documents: int
    document_bytes: int
