"""The executor's side: claim steps over HTTP, run them, report how they ended.

It installs and imports without the server's dependencies: msgspec and aiohttp are all it needs. What only some
executors need (jinja2, typer) is imported when it is used.

**An executor** asks for ready steps by capability and gets each under a lease: the right to run one attempt until the
lease ends. A heartbeat renews it; a completion or failure ends it. Reports name the lease (`step_id`), so whoever has
lost it is refused (409) and cannot do harm in Leasehold; `token`, which only grows, lets other systems refuse it too.
A step's side effects happen at least once: an executor may die after its effect and before its report.
`StepContext.idempotency_key` is the same in each attempt, for systems that can tell a repetition.

**`Worker`** does all of that for registered functions. Its rules:

1. A lease counts from when the request was sent that got or renewed it, on the monotonic clock. A function never starts
   under a lease that may be over, and is stopped when its lease is over, lost, or cancelled by the server.
2. Claims ask for as many steps as there are free slots; a slot is free when its step's end is acknowledged.
3. Ends are reported until a server has answered, also past the lease: whether they still count is the server's to say.
   What ends at the same time is reported together; nothing waits in order to be.
4. On SIGTERM it stops claiming, lets what runs finish, and gives the rest back, which uses no attempt.

**`ClaimClient`** is the HTTP surface as coroutines, `SyncClaimClient` the same for code without an event loop. Both
know several servers, and repeat what may be repeated: `claim.transport` has the table, each method the reason.
`claim.testing` runs a step's function without a server; `claim.executors` are the built-in ones; `claim.wire` holds
what travels.
"""

from .client import ENDED, ClaimClient
from .errors import (
    ClaimError,
    ExtraMissing,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    Refused,
    StepCancelled,
    StepFailed,
    Unavailable,
    WrongAnswer,
)
from .running.attempt import Function
from .running.context import StepContext
from .sync import SyncClaimClient
from .wire import ClaimedStep, ErrorInfo, InstanceView, Problem, StartItem, StepReport, Usage
from .worker import Worker

__all__ = [
    "ENDED",
    "ClaimClient",
    "ClaimError",
    "ClaimedStep",
    "ErrorInfo",
    "ExtraMissing",
    "Function",
    "InstanceView",
    "LeaseLost",
    "NotFound",
    "OutcomeUnknown",
    "Problem",
    "Refused",
    "StartItem",
    "StepCancelled",
    "StepContext",
    "StepFailed",
    "StepReport",
    "SyncClaimClient",
    "Unavailable",
    "Usage",
    "Worker",
    "WrongAnswer",
]
