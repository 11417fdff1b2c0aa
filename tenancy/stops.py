"""Why nothing may begin now, as one answer in the same form for whatever says so. Pure."""

from __future__ import annotations

from msgspec import Struct


class Stop(Struct, frozen=True, gc=False):
    """Nothing of this kind begins until it is over.

    `quota`: which one, as in a 429 and in `_explain` (`breaker`, `budgets.day.cost`). `used` and `allowed`: by how
    much, in units of the quota; both 0 where nothing is counted. `until_ms`: when it is over if nobody changes
    anything, by the clock that was asked with; None where no time brings it. `reason`: a few words for people, without
    a full stop. `of_all`: the deployment's document says it, of all tenants together.
    """

    quota: str
    used: float
    allowed: float
    until_ms: int | None
    reason: str
    of_all: bool = False
