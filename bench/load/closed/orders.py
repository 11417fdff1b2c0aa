"""What closed-loop roles are told and what they answer. Times are nanoseconds of the monotonic clock."""

from __future__ import annotations

from msgspec import Struct

from ..http1 import Address


class BatchStarterSetup(Struct, frozen=True):
    """Starts instances of `workflow`, each with its number as the input `n`, `batch` to a request (1: the single call).

    Starts that are refused for now (429, 503) are sent again after a pause.
    """

    scheduler: Address
    workflow: str
    connections: int
    batch: int


class StartMany(Struct, frozen=True):
    """Start `count` instances, with numbers from `first` on."""

    first: int
    count: int
    within_s: float


class Started(Struct, frozen=True):
    """`acknowledged` starts were answered 201; `refused` says how often which other code came; `lost` got no answer.

    `request_ns` holds each request's time. `cpu_ns` is what the role itself used of the processors.
    """

    began_ns: int
    ended_ns: int
    cpu_ns: int
    acknowledged: int
    refused: dict[int, int]
    lost: int
    request_ns: list[int]


class ExecutorSetup(Struct, frozen=True):
    """So many executors, each on a connection, that claim up to `max_steps` at a time, and complete if `completing`.

    With `single`, one request for each operation: a claim without `max`, and a completion of its own. `tenant` is whose
    executors they are (`*`: everybody's), unless the server's default.
    """

    scheduler: Address
    capability: str
    connections: int
    max_steps: int
    completing: bool
    single: bool = False
    tenant: str | None = None
    lease_ms: int = 600_000
    wait_ms: int = 500


class Execute(Struct, frozen=True, tag=True):
    """Claim (and complete) until so many steps were; no longer than `within_s`.

    With `sit_out` the claims that wait by then are answered too: where more is ready, hanging up would lose it to us.
    An executor that gets nothing in its time leaves then: others have claimed the rest.
    """

    steps: int
    within_s: float
    sit_out: bool = False


class CompleteAll(Struct, frozen=True, tag=True):
    """Complete, in batches of `batch`, what executors claimed that do not complete by themselves."""

    batch: int
    within_s: float


class Completed(Struct, frozen=True):
    """`refused`: completions answered otherwise than 200, by code (0: no answer)."""

    began_ns: int
    ended_ns: int
    completed: int
    refused: dict[int, int]


class Executed(Struct, frozen=True):
    """`claimed` holds, by run path, the numbers in the payloads.

    `claimed_ns` is when the last step had arrived, `completed_ns` when the last completion was answered (0: none was).
    `lag_ns` holds, of each step whose payload says when it was due (`due_ms`, wall time), how much later it arrived.
    `claim_ns` holds the time of each claim that brought something; `empty` counts those that did not. `failures`
    counts claims answered neither 200 nor 204; `refused` completions answered otherwise than 200, by code.
    """

    began_ns: int
    claimed_ns: int
    completed_ns: int
    ended_ns: int
    cpu_ns: int
    claimed: dict[str, list[int]]
    claim_ns: list[int]
    completed: int
    empty: int
    failures: int
    refused: dict[int, int]
    lag_ns: list[int] = []

    @property
    def steps(self) -> int:
        return sum(len(numbers) for numbers in self.claimed.values())


class PacedSetup(Struct, frozen=True):
    """So many executors, each on a connection: claim up to `max_steps`, work for `executor_ms`, complete them."""

    scheduler: Address
    capability: str
    connections: int
    max_steps: int
    executor_ms: int
    tenant: str | None = None
    lease_ms: int = 60_000
    wait_ms: int = 250


class WorkUntil(Struct, frozen=True):
    """Claim until then (monotonic nanoseconds), and complete what was claimed."""

    until_ns: int


class Batch(Struct, frozen=True, array_like=True):
    """Steps that came with one claim: the numbers in their payloads, when they came, and their completion's moments.

    `answered_ns` is 0 where no answer came.
    """

    numbers: list[int]
    arrived_ns: int
    completion_sent_ns: int
    answered_ns: int


class Worked(Struct, frozen=True):
    """`failures` counts claims answered neither 200 nor 204; `refused` completions answered otherwise than 200."""

    batches: list[Batch]
    failures: int
    refused: dict[int, int]
    cpu_ns: int
