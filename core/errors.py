"""What can go wrong in the scheduler. Attributes carry the facts; `core.problems` maps each to a problem document.

Losing a race is an outcome and has no class here.
"""

from __future__ import annotations

from ..claim.wire import Violation
from ..claim.wire.tenants import TenantView


class LeaseholdError(Exception):
    """Root of the scheduler's errors. `retryable`: the same request may succeed later, unchanged."""

    retryable = False
    retry_after_s: float | None = None


class NotFound(LeaseholdError):
    """Nothing of that kind and name is visible to the caller."""

    def __init__(self, kind: str, name: str, advice: str = "") -> None:
        super().__init__(f"no {kind} named {name!r}" + (f"; {advice}" if advice else ""))
        self.kind = kind
        self.name = name


class InvalidRequest(LeaseholdError):
    """The request was understood and can't be done as it stands: 422. `violations` name the places, if any."""

    def __init__(self, detail: str, violations: list[Violation] | None = None) -> None:
        super().__init__(detail)
        self.violations = violations or []


class PayloadTooLarge(LeaseholdError):
    """A body, result or input is over its limit."""

    def __init__(self, what: str, found_bytes: int, allowed_bytes: int) -> None:
        super().__init__(
            f"{what} has {found_bytes} bytes; at most {allowed_bytes} are allowed (setting payload_max_bytes)"
        )
        self.found_bytes = found_bytes
        self.allowed_bytes = allowed_bytes


class Conflict(LeaseholdError):
    """What the caller wants contradicts what is stored, such as another definition under that version."""


class VersionConflict(Conflict):
    """Another version is active than the caller counted on; `active` is the one that is, 0 for none."""

    def __init__(self, detail: str, active: int) -> None:
        super().__init__(detail)
        self.active = active


class TenantConflict(Conflict):
    """A tenant's document stands at another revision than the caller counted on; `stands` is what does."""

    def __init__(self, detail: str, stands: TenantView) -> None:
        super().__init__(detail)
        self.stands = stands


class Expired(LeaseholdError):
    """What the request refers to was there for a while only, and is gone."""


class LeaseLost(LeaseholdError):
    """A report came under a token that no longer holds. `token_held` is 0 when nobody holds the step."""

    def __init__(self, step_id: str, token_held: int, detail: str) -> None:
        super().__init__(detail)
        self.step_id = step_id
        self.token_held = token_held


class Forbidden(LeaseholdError):
    """The principal may not do that."""


class Unavailable(LeaseholdError):
    """Nothing was done; come back after `retry_after_s`."""

    retryable = True

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NotOwner(Unavailable):
    """Another replica owns the lane; `address` is where it answers, None while nobody owns it."""

    def __init__(self, lane: str, address: str | None) -> None:
        where = "has no owner for the moment" if address is None else f"is at {address}"
        super().__init__(f"lane {lane} {where}")
        self.address = address


class QuotaExceeded(LeaseholdError):
    """Admission is closed for now: a quota by name, or backpressure. 429."""

    retryable = True

    def __init__(self, detail: str, quota: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.quota = quota
        self.retry_after_s = retry_after_s


class StoreError(LeaseholdError):
    """Root of what Elasticsearch, or the way to it, can answer."""


class StoreUnavailable(StoreError):
    """429, 503 or no connection, or a read that got no answer: nothing was applied."""

    retryable = True

    def __init__(self, detail: str, status: int = 503) -> None:
        super().__init__(detail)
        self.status = status


class OutcomeUnknown(StoreError):
    """A write was sent, and no answer came but perhaps a 500, 502 or 504: it may or may not have been applied.

    Read and compare, never assume.
    """

    retryable = True


class StoreRejected(StoreError):
    """Elasticsearch understood the whole request and refused it."""

    def __init__(self, detail: str, status: int, error_type: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.error_type = error_type
