"""Problem documents that only the HTTP surface gives, and how any of them becomes an answer.

`core.problems` maps the scheduler's own errors. What HTTP itself can get wrong (paths, methods, parameters, bodies) is
raised as `RequestProblem`, which carries its document ready-made.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...claim.wire import Problem, Violation
from ..errors import LeaseholdError
from ..problems import KINDS, TYPE_PREFIX, problem_of

PROBLEM_TYPE = "application/problem+json"


class RequestProblem(LeaseholdError):
    """The request can't be served, and `problem` says why. `headers` go with the answer (`Allow`, ...)."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


def refuse(
    word: str,
    detail: str,
    *,
    violations: list[Violation] | None = None,
    headers: Mapping[str, str] | None = None,
) -> RequestProblem:
    """The exception to raise for a problem of a known kind (`core.problems.KINDS`)."""
    status, title = KINDS[word]
    return RequestProblem(
        Problem(type=TYPE_PREFIX + word, title=title, status=status, detail=detail, violations=violations or []),
        headers,
    )


def document_of(error: LeaseholdError) -> Problem:
    """The problem document of any error that this project raises."""
    return error.problem if isinstance(error, RequestProblem) else problem_of(error)


def headers_of(error: LeaseholdError, problem: Problem) -> dict[str, str]:
    """The headers that go with a problem: `Retry-After` in whole seconds, at least one, and the error's own."""
    headers = dict(error.headers) if isinstance(error, RequestProblem) else {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, -int(-problem.retry_after_s // 1)))
    return headers
