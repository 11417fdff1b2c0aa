"""What is told of usage over HTTP. Days are ISO 8601 dates in UTC; `cost` is in the tenant's own currency unit."""

from __future__ import annotations

from msgspec import Struct


class UsageRow(Struct, frozen=True):
    """What a tenant has used. `day`, `tenant` and `workflow` are null where the row is the sum over all of them.

    `starts`: instances that were started on the day and have ended. The rest is of attempts that ended on the day;
    `retries` are those after a step's first, `executor_ms` the time from claim to end, `stored_bytes` those of inputs
    and outputs in history.
    """

    day: str | None = None
    tenant: str | None = None
    workflow: str | None = None
    starts: int = 0
    attempts: int = 0
    retries: int = 0
    executor_ms: int = 0
    llm_calls: int = 0
    llm_tokens: int = 0
    cost: float = 0.0
    stored_bytes: int = 0


class UsageView(Struct, frozen=True):
    """Usage of a tenant (`*`: of all of them) from one day to another, both included, and the sum of the rows."""

    tenant: str
    since: str
    until: str
    by: str
    rows: list[UsageRow]
    total: UsageRow
