"""The OpenAPI document: valid, complete, and made from the very structs that are served."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from leasehold.core.app.web.openapi import openapi_document
from leasehold.core.app.web.routes import ROUTES, Route

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi_document(ROUTES, "1.2.3")))
ROUTE_NAMES = [route.name for route in ROUTES]


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def resolve(reference: str) -> Any:
    found = DOCUMENT
    for word in reference.removeprefix("#/").split("/"):
        found = found[word]
    return found


def test_every_reference_leads_somewhere() -> None:
    assert all(resolve(reference) for reference in references(DOCUMENT))


def test_every_schema_is_a_valid_json_schema() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}), name


def test_operation_ids_are_unique() -> None:
    assert len(set(ROUTE_NAMES)) == len(ROUTE_NAMES)


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_NAMES)
def test_each_route_documents_its_path_parameters(route: Route) -> None:
    in_path = [item["name"] for item in operation(route)["parameters"] if item.get("in") == "path"]
    assert in_path == re.findall(r"\{(\w+)\}", route.path)


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_NAMES)
def test_each_route_documents_a_good_answer_and_problem_documents(route: Route) -> None:
    responses = operation(route)["responses"]
    assert any(status.startswith("2") for status in responses)
    for status, response in responses.items():
        if not status.startswith("2"):
            assert list(response["content"]) == ["application/problem+json"], status
    assert ("Retry-After" in responses["503"]["headers"]) is True


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: route.name)
def test_bodies_refuse_unknown_fields_in_the_document_as_they_do_in_fact(route: Route) -> None:
    schema = operation(route)["requestBody"]["content"]["application/json"]["schema"]
    assert resolve(schema["$ref"])["additionalProperties"] is False


def test_answers_allow_fields_of_newer_servers() -> None:
    assert "additionalProperties" not in DOCUMENT["components"]["schemas"]["InstanceView"]


def test_requests_and_answers_do_not_share_a_schema_that_only_one_of_them_is_strict_in() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["UsageReport"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Usage"]


def test_words_for_the_server_alone_do_not_reach_the_document() -> None:
    text = msgspec.json.encode(DOCUMENT).decode()
    assert "x-header" not in text
    assert "x-allowed" not in text
    assert "x-hidden" not in text


def test_headers_are_documented_by_their_names() -> None:
    found = DOCUMENT["paths"]["/_workflows/{name}/_start"]["post"]["parameters"]
    assert {"Idempotency-Key", "traceparent"} <= {item.get("name") for item in found if item.get("in") == "header"}


def test_the_version_is_the_releases() -> None:
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert DOCUMENT["openapi"] == "3.1.0"
