"""From a method and a raw path to a route."""

from typing import NamedTuple

import pytest
from leasehold.core.app.problems import RequestProblem
from leasehold.core.app.web.router import Router


class Named(NamedTuple):
    method: str
    path: str


ROUTES = [
    Named("GET", "/_workflows"),
    Named("GET", "/_workflows/{name}"),
    Named("PUT", "/_workflows/{name}"),
    Named("POST", "/_workflows/_start"),
    Named("POST", "/_workflows/{name}/_start"),
    Named("POST", "/_workflows/_steps/_claim"),
    Named("POST", "/_workflows/_steps/{id}/_complete"),
]
ROUTER = Router(ROUTES)


def refusal(method: str, path: str) -> RequestProblem:
    with pytest.raises(RequestProblem) as caught:
        ROUTER.find(method, path)
    return caught.value


@pytest.mark.parametrize(
    ("method", "path", "template", "values"),
    [
        ("GET", "/_workflows", "/_workflows", []),
        ("GET", "/_workflows/triage", "/_workflows/{name}", ["triage"]),
        ("POST", "/_workflows/_start", "/_workflows/_start", []),
        ("POST", "/_workflows/triage/_start", "/_workflows/{name}/_start", ["triage"]),
        ("POST", "/_workflows/_steps/_claim", "/_workflows/_steps/_claim", []),
        ("POST", "/_workflows/_steps/03-x:a:7/_complete", "/_workflows/_steps/{id}/_complete", ["03-x:a:7"]),
        ("GET", "/_workflows/a%20b%2Fc", "/_workflows/{name}", ["a b/c"]),
        ("GET", "/%5Fworkflows/caf%C3%A9", "/_workflows/{name}", ["café"]),
        ("GET", "/_workflows/café", "/_workflows/{name}", ["café"]),
    ],
)
def test_a_path_finds_its_route_and_decoded_values(method: str, path: str, template: str, values: list[str]) -> None:
    route, found = ROUTER.find(method, path)
    assert (route.path, found) == (template, values)


def test_head_is_answered_by_the_get_route() -> None:
    assert ROUTER.find("HEAD", "/_workflows/triage")[0] == Named("GET", "/_workflows/{name}")


@pytest.mark.parametrize(
    "path", ["/", "", "*", "/_workflows/", "//", "/_workflows/_nothing", "/_workflows/a/b/c", "/x"]
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    assert refusal("GET", path).problem.status == 404


def test_an_unknown_path_names_the_nearest_known_one() -> None:
    assert "did you mean /_workflows/_steps/_claim?" in refusal("POST", "/_workflow/_steps/_claim").problem.detail


def test_a_method_that_a_path_does_not_answer_is_refused_with_those_it_does() -> None:
    refused = refusal("PATCH", "/_workflows/triage")
    assert refused.problem.status == 405
    assert refused.headers == {"Allow": "GET, HEAD, OPTIONS, PUT"}


def test_the_methods_of_a_path_are_known_without_a_request_of_each() -> None:
    assert ROUTER.allow("/_workflows/_steps/_claim") == "OPTIONS, POST"


@pytest.mark.parametrize(
    "path", ["/_workflows/%", "/_workflows/%zz", "/_workflows/%ff", "/_workflows/\udcff", "/%ED%A0%80"]
)
def test_a_path_that_is_no_utf_8_text_is_refused(path: str) -> None:
    refused = refusal("GET", path)
    assert refused.problem.status == 400
    refused.problem.detail.encode()


def test_two_routes_of_one_method_and_path_are_a_mistake_of_the_table() -> None:
    with pytest.raises(ValueError, match="two routes"):
        Router([Named("GET", "/a/{x}"), Named("GET", "/a/{y}")])
