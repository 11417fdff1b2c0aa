"""What can go wrong for an executor and for whoever scripts against a server.

`Unavailable` and `OutcomeUnknown` differ in what the caller may conclude: after the first nothing was done, after the
second nobody knows. Losing a lease is an answer of the server, hence a `Refused`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .wire import Problem


class ClaimError(Exception):
    """Root of this package's errors. `retryable`: the same call may succeed later, unchanged."""

    retryable = False


class Unavailable(ClaimError):
    """No server took the request in time, so it had no effect. `problem` is the last answer, if there was one."""

    retryable = True

    def __init__(self, detail: str, problem: Problem | None = None) -> None:
        super().__init__(detail)
        self.problem = problem


class OutcomeUnknown(ClaimError):
    """The request was sent and no usable answer came: it may or may not have taken effect."""


class WrongAnswer(ClaimError):
    """What answers at that address does not speak as a Leasehold server does."""


class Refused(ClaimError):
    """The server understood the request and does not do it; `problem` is its own document.

    `after_unknown`: an earlier sending of this same call went unanswered, so the effect may stand all the same.
    """

    def __init__(self, problem: Problem, *, after_unknown: bool = False) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.after_unknown = after_unknown

    @property
    def kind(self) -> str:
        """The last word of the problem's type, such as `conflict` or `payload-too-large`."""
        return self.problem.type.rpartition(":")[2]


class NotFound(Refused):
    """404: nothing of that name is visible to the caller."""


class LeaseLost(Refused):
    """409: the lease does not hold any more.

    `token_held` is the token of the lease that does, 0 when nobody holds the step. With `after_unknown` the report
    may be the very thing that ended the lease. Either way its sender is done with the step.
    """

    @property
    def token_held(self) -> int:
        return self.problem.token_held or 0


class StepFailed(ClaimError):
    """Raised by a step's function to fail its attempt with a type of its own, which `retry.on` can match.

    `retryable=False` ends the step whatever its retry policy says.
    """

    def __init__(self, type: str, message: str = "", *, retryable: bool = True) -> None:
        super().__init__(f"{type}: {message}" if message else type)
        self.type = type
        self.message = message
        self.retryable = retryable


class StepCancelled(ClaimError):
    """Raised in a plain function by `StepContext.raise_if_cancelled`, and not to be caught there."""


class ExtraMissing(ClaimError):
    """A library that an extra brings is not installed."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around the late imports of `what`. Raises: ExtraMissing, naming the extra that brings the library."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("leasehold"):
            raise
        raise ExtraMissing(f"{what} needs {error.name}; run pip install 'leasehold[{extra}]'") from error


def refusal(problem: Problem, *, after_unknown: bool = False) -> Refused:
    """The error that stands for a server's problem document."""
    kinds: dict[str, type[Refused]] = {"lease-lost": LeaseLost, "not-found": NotFound}
    kind = kinds.get(problem.type.rpartition(":")[2], Refused)
    return kind(problem, after_unknown=after_unknown)
