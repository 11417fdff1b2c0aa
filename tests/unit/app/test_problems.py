"""Every error of the scheduler as a problem document."""

import inspect

import pytest
from leasehold.claim.wire import Violation
from leasehold.claim.wire.tenants import TenantView
from leasehold.core import errors
from leasehold.core.app.problems import RequestProblem, document_of, headers_of, refuse
from leasehold.core.problems import KINDS, TYPE_PREFIX, problem, problem_of

EXAMPLES: list[tuple[errors.LeaseholdError, int, str]] = [
    (errors.NotFound("workflow", "triage"), 404, "not-found"),
    (errors.InvalidRequest("two steps wait; name one"), 422, "unprocessable"),
    (errors.InvalidRequest("1 input is wrong", [Violation("inputs.n", "too large")]), 422, "unprocessable"),
    (errors.PayloadTooLarge("the result", 300_000, 262_144), 413, "payload-too-large"),
    (errors.Conflict("another request under that key"), 409, "conflict"),
    (errors.VersionConflict("version 3 is active", 3), 409, "conflict"),
    (errors.TenantConflict("it stands at revision 7-1", TenantView(tenant="acme", revision="7-1")), 409, "conflict"),
    (errors.Expired("this list is no longer kept"), 410, "expired"),
    (errors.LeaseLost("03-x:a:7", 8, "the step is held under token 8"), 409, "lease-lost"),
    (errors.Forbidden("soc-lead may not"), 403, "forbidden"),
    (errors.Unavailable("no lane is owned here", 2.5), 503, "unavailable"),
    (errors.NotOwner("03", None), 503, "unavailable"),
    (errors.QuotaExceeded("start_rate is spent", "start_rate", 0.2), 429, "quota-exceeded"),
    (errors.StoreUnavailable("http://es:9200 answered 503"), 503, "unavailable"),
    (errors.OutcomeUnknown("http://es:9200 did not answer"), 503, "outcome-unknown"),
    (errors.StoreRejected("mapper_parsing_exception", 400), 500, "internal-error"),
    (errors.StoreRejected("cluster_block_exception", 403), 503, "unavailable"),
    (errors.StoreError("?"), 500, "internal-error"),
    (errors.LeaseholdError("?"), 500, "internal-error"),
]


@pytest.mark.parametrize(
    ("error", "status", "word"), EXAMPLES, ids=lambda value: getattr(value, "__class__", value).__name__
)
def test_each_error_has_its_status_and_word(error: errors.LeaseholdError, status: int, word: str) -> None:
    found = problem_of(error)
    assert (found.status, found.type) == (status, TYPE_PREFIX + word)
    assert found.title == KINDS[word][1]


def test_no_error_is_forgotten() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.LeaseholdError)}
    assert kinds == {type(error) for error, _, _ in EXAMPLES}


def test_the_facts_of_an_error_stand_in_fields_of_their_own() -> None:
    assert problem_of(errors.LeaseLost("s", 8, "lost")).token_held == 8
    assert problem_of(errors.QuotaExceeded("spent", "start_rate", 3.0)).quota == "start_rate"
    assert problem_of(errors.InvalidRequest("bad", [Violation("a", "b")])).violations == [Violation("a", "b")]


def test_what_the_store_said_and_what_is_a_defect_is_not_told() -> None:
    for error in (errors.StoreUnavailable("secret address"), errors.StoreRejected("secret reason", 400)):
        assert "secret" not in problem_of(error).detail


@pytest.mark.parametrize(("after_s", "header"), [(0.2, "1"), (1.0, "1"), (1.1, "2"), (30.0, "30")])
def test_retry_after_is_whole_seconds_and_at_least_one(after_s: float, header: str) -> None:
    error = errors.Unavailable("later", after_s)
    assert headers_of(error, document_of(error)) == {"Retry-After": header}


def test_what_can_be_tried_again_always_says_when() -> None:
    for error, status, _ in EXAMPLES:
        assert ("Retry-After" in headers_of(error, document_of(error))) == (status in (429, 503))


def test_a_problem_of_the_request_keeps_its_document_and_headers() -> None:
    error = refuse("method-not-allowed", "no PATCH here", headers={"Allow": "GET"})
    assert isinstance(error, RequestProblem)
    assert document_of(error).status == 405
    assert headers_of(error, document_of(error)) == {"Allow": "GET"}


def test_an_unknown_kind_of_problem_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        problem("no-such-kind", "")
