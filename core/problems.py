"""Each of the scheduler's errors as a problem document (RFC 9457).

The one place that maps `core.errors`. `type` is a URN whose last word is stable: programs may match on it, people read
`title` and `detail`. Titles never vary; details carry what was found and what is allowed, and never a stack trace.
"""

from __future__ import annotations

from ..claim.wire import Problem
from .errors import (
    Conflict,
    Expired,
    Forbidden,
    InvalidRequest,
    LeaseholdError,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    QuotaExceeded,
    StoreError,
    StoreRejected,
    StoreUnavailable,
    TenantConflict,
    Unavailable,
    VersionConflict,
)
from .peers import Relayed

TYPE_PREFIX = "urn:leasehold:problem:"

# word -> (status, title). The words are API.
KINDS: dict[str, tuple[int, str]] = {
    "invalid-request": (400, "The request does not have the form that this operation takes"),
    "forbidden": (403, "The caller may not do that"),
    "not-found": (404, "Nothing of that name is visible to the caller"),
    "method-not-allowed": (405, "This path does not answer that method"),
    "request-timeout": (408, "The request did not arrive in time"),
    "conflict": (409, "The request contradicts what is stored"),
    "lease-lost": (409, "The lease that this report names does not hold"),
    "expired": (410, "What the request refers to is no longer kept"),
    "payload-too-large": (413, "The request holds more than is allowed"),
    "unsupported-media-type": (415, "The body is in a format that this operation does not read"),
    "expectation-failed": (417, "The request expects what this server does not do"),
    "unprocessable": (422, "The request has the right form and cannot be carried out as it stands"),
    "quota-exceeded": (429, "No more is admitted for now"),
    "internal-error": (500, "An unexpected error, which is a defect of the server"),
    "unavailable": (503, "The server cannot answer now; nothing was lost"),
    "outcome-unknown": (503, "Whether the request took effect is not known"),
}

_STORE_DETAIL = "Elasticsearch does not answer as it should; the server's log has its words"


def problem(word: str, detail: str, status: int | None = None) -> Problem:
    """A problem document of a known kind. Raises KeyError on an unknown word."""
    default_status, title = KINDS[word]
    return Problem(type=TYPE_PREFIX + word, title=title, status=status or default_status, detail=detail)


def problem_of(error: LeaseholdError) -> Problem:
    """The problem document that says what `error` says. An unmapped one is an `internal-error` without its words."""
    if isinstance(error, Relayed):
        return error.problem
    word = _word_of(error)
    status, title = KINDS[word]
    retry_after_s = error.retry_after_s
    if retry_after_s is None and status in (429, 503):
        retry_after_s = 1.0
    return Problem(
        type=TYPE_PREFIX + word,
        title=title,
        status=status,
        detail=_detail_of(error, word),
        violations=error.violations if isinstance(error, InvalidRequest) else [],
        token_held=error.token_held if isinstance(error, LeaseLost) else None,
        retry_after_s=retry_after_s,
        quota=error.quota if isinstance(error, QuotaExceeded) else None,
        active_version=error.active if isinstance(error, VersionConflict) else None,
        stands=error.stands if isinstance(error, TenantConflict) else None,
    )


def is_forbidden(error: LeaseholdError) -> bool:
    """Whether it is answered 403, here or by the peer that was asked."""
    return isinstance(error, Forbidden) or (isinstance(error, Relayed) and error.problem.status == 403)


_WORDS: tuple[tuple[type[LeaseholdError], str], ...] = (
    (NotFound, "not-found"),
    (InvalidRequest, "unprocessable"),
    (PayloadTooLarge, "payload-too-large"),
    (Conflict, "conflict"),
    (Expired, "expired"),
    (LeaseLost, "lease-lost"),
    (Forbidden, "forbidden"),
    (Unavailable, "unavailable"),
    (QuotaExceeded, "quota-exceeded"),
    (StoreUnavailable, "unavailable"),
    (OutcomeUnknown, "outcome-unknown"),
)


# An index that is blocked or gone is unavailable for the moment, whatever somebody has to do about it.
_BLOCKED = frozenset({403, 404})


def _word_of(error: LeaseholdError) -> str:
    if isinstance(error, StoreRejected) and error.status in _BLOCKED:
        return "unavailable"
    for kind, word in _WORDS:
        if isinstance(error, kind):
            return word
    return "internal-error"


def _detail_of(error: LeaseholdError, word: str) -> str:
    """The error's own sentence, unless it may hold addresses or words of the store."""
    if word == "internal-error":
        return "the server's log has the details"
    if isinstance(error, StoreError):
        return _STORE_DETAIL
    return str(error)
