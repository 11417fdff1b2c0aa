"""What went wrong, decided once: can the request have been applied?"""

from __future__ import annotations

import msgspec
from elastic_transport import TransportError

from ..errors import OutcomeUnknown, StoreError, StoreRejected, StoreUnavailable
from . import answers
from .transport import NeverSent

# Elasticsearch refuses with these before it touches a shard. Other 5xx (a proxy's 502 and 504 among them) can follow a
# write that was applied.
NOTHING_APPLIED = frozenset({429, 503})


def no_answer(what: str, error: TransportError, *, write: bool) -> StoreError:
    """The error for a request that got no answer at all; `what` names the request."""
    if isinstance(error, NeverSent):
        return StoreUnavailable(f"{what}: cannot connect to Elasticsearch: {error.message}")
    if write:
        return OutcomeUnknown(f"{what}: sent, but no answer came: {error}")
    return StoreUnavailable(f"{what}: no answer: {error}")


def refused(what: str, status: int, body: bytes, *, write: bool) -> StoreError:
    """The error for an answer that is not 2xx."""
    error_type, reason = cause(body)
    detail = f"{what}: {status} {error_type}: {reason}" if error_type else f"{what}: {status} {reason}".rstrip()
    if status in NOTHING_APPLIED:
        return StoreUnavailable(detail, status)
    if status >= 500:
        return OutcomeUnknown(detail) if write else StoreUnavailable(detail, status)
    return StoreRejected(detail, status, error_type)


def unreadable(what: str, error: Exception, *, write: bool) -> StoreError:
    """The error for a 2xx answer that cannot be parsed: cut short, nested too deep, or from something in between."""
    detail = f"{what}: the answer cannot be read: {error}"
    return OutcomeUnknown(detail) if write else StoreUnavailable(detail)


def cause(body: bytes) -> tuple[str, str]:
    """Type and reason, of the root cause where one is named; a body that is no JSON is its own reason."""
    try:
        error = answers.FAILURE.decode(body).error
    except msgspec.MsgspecError:
        return "", body[:200].decode("utf-8", "replace")
    return cause_of(error)


def cause_of(error: answers.TopCause | str | None) -> tuple[str, str]:
    if isinstance(error, answers.TopCause):
        deepest = error.root_cause[0] if error.root_cause else error
        return deepest.type, deepest.reason or ""
    return "", error or ""
