"""What roles about history are told and what they answer. Times are nanoseconds of the monotonic clock."""

from __future__ import annotations

from msgspec import Struct

from ..http1 import Address
from ..orders import Claim, ClaimerSetup


class RowSeederSetup(Struct, frozen=True):
    """Writes rows of finished instances straight into history, over so many connections."""

    elasticsearch: Address
    connections: int = 2


class SeedRows(Struct, frozen=True):
    """Write the rows of `instances` finished instances, numbered from `first` on, and one for the step of each.

    They were started in order, evenly from `from_ms` to `to_ms` (wall time).
    """

    instances_index: str
    steps_index: str
    instances: int
    first: int
    from_ms: int
    to_ms: int
    seed: str


class SeededRows(Struct, frozen=True):
    """`by` counts instances by what searches ask for (`rows.Traits`)."""

    rows: int
    bytes: int
    took_ns: int
    by: dict[str, int]


class SearcherSetup(Struct, frozen=True):
    """Asks a replica for pages of `_search`, one at a time, as a principal of tenant `*`."""

    scheduler: Address


class Walk(Struct, frozen=True):
    """Ask for `target`, then for what follows it, up to `pages` pages in all; each with `size` instances at most."""

    target: str
    pages: int
    size: int


class Walked(Struct, frozen=True):
    """How long each page took, the first one first. `ids` are the instances on them, in order, `statuses` theirs.

    `failed`: answers other than 200, or none. `total` is what the first page said, None where none came.
    """

    page_ns: list[int]
    ids: list[str]
    statuses: list[str]
    failed: int
    total: int | None
    exact: bool = False


class ConfirmerSetup(Struct, frozen=True):
    """Claims and completes as `claimer` says; one instance in `every` is then looked for in history.

    `index` is the concrete one that rows of instances go to. It is asked every `poll_ms`, so that times are too long by
    up to that much, never too short.
    """

    claimer: ClaimerSetup
    elasticsearch: Address
    index: str
    every: int
    poll_ms: int = 25


class FinishConfirming(Struct, frozen=True):
    """Claim no more, and tell what was found, once all was or after `within_s`."""

    within_s: float


class Row(Struct, frozen=True, array_like=True):
    """When an instance's completion was acknowledged, its row could be read by id, and a search found it (0: never)."""

    completed_ns: int
    readable_ns: int
    searchable_ns: int


class Confirmed(Struct, frozen=True):
    """`rows` are those of the instances that were looked for; `unanswered` counts looks that failed."""

    claims: list[Claim]
    failures: int
    rows: list[Row]
    unanswered: int
