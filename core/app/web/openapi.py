"""The OpenAPI 3.1 document, made from the route table and the structs it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ....claim.wire import Problem
from ...principal import OPERATOR
from ...problems import KINDS
from ..authentication import NAME_PATTERN, ROLES_HEADER, ROLES_PATTERN, SPACE_HEADER, TENANT_HEADER
from ..problems import PROBLEM_TYPE
from .bodies import MAX_DEPTH
from .parameters import Field, ParameterReader
from .routes import Answer, Route
from .strict import strict
from .surface import JSON, YAML

_REF = "#/components/schemas/{name}"
_INFO = """\
Durable multi-step workflows on Elasticsearch. An answer in the 2xx range means that its effect stands in Elasticsearch.
Errors are RFC 9457 problem documents; the last word of their `type` is stable. Times are integer milliseconds since
the epoch (`_at_ms`), spans are milliseconds (`_ms`), durations in queries are written `30s` or `PT30S`. Bodies nest at
most {depth} levels deep; unknown fields and query parameters are refused."""


def openapi_document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document. `version` is the release's."""
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, routes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leasehold",
            "version": version,
            "description": _INFO.format(depth=MAX_DEPTH),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "parameters": {
                "tenant": _name_header(TENANT_HEADER),
                "space": _name_header(SPACE_HEADER),
                "roles": _ROLES_HEADER,
            },
            "headers": {
                "RetryAfter": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}
            },
        },
    }


class _Schemas:
    """JSON Schemas of every struct that a route names; bodies by their strict twins."""

    def __init__(self, routes: Sequence[Route]) -> None:
        kinds: dict[type[Struct], None] = {Problem: None}
        for route in routes:
            kinds.update(dict.fromkeys(kind for answer in route.answers for kind in answer.kinds))
            if route.body is not None:
                kinds[strict(route.body)] = None
        schemas, self.components = msgspec.json.schema_components(kinds, ref_template=_REF)
        self._schemas = dict(zip(kinds, schemas, strict=True))

    def of(self, kind: type[Struct]) -> dict[str, Any]:
        return self._schemas[kind]


def _operation(route: Route, schemas: _Schemas, routes: Sequence[Route]) -> dict[str, Any]:
    fields = ParameterReader(route.parameters, route.path).fields
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [_parameter(field) for field in fields if not field.hidden],
        "responses": {str(answer.status): _answer(answer, schemas, routes) for answer in route.answers},
    }
    if not route.open:
        operation["parameters"] += [
            {"$ref": "#/components/parameters/tenant"},
            {"$ref": "#/components/parameters/space"},
            {"$ref": "#/components/parameters/roles"},
        ]
    if route.operators:
        operation["description"] = f"Needs the role `{OPERATOR}`."
    body = _body(route, schemas)
    if body is not None:
        operation["requestBody"] = body
    for status in sorted({*_always(route), *route.problems}):
        operation["responses"][str(status)] = _problem(status, schemas)
    return operation


def _always(route: Route) -> tuple[int, ...]:
    """What any route of its kind may answer."""
    with_body = (408, 413, 415, 417) if route.body is not None or route.size in _SOURCES else ()
    with_values = (404,) if "{" in route.path else ()
    return (400, 503, *with_body, *with_values)


def _parameter(field: Field) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": field.name, "in": field.place, "schema": field.schema}
    if field.description:
        parameter["description"] = field.description
    if field.required:
        parameter["required"] = True
    return parameter


_SOURCES = {"definition": "definition", "tenant": "document", "policy": "policy"}


def _body(route: Route, schemas: _Schemas) -> dict[str, Any] | None:
    if route.size in _SOURCES:
        return {
            "required": True,
            "description": f"The {_SOURCES[route.size]} in YAML, or in JSON holding the same.",
            "content": {YAML: {"schema": {"type": "string", "minLength": 1}}, JSON: {"schema": {"type": "object"}}},
        }
    if route.body is None:
        return None
    return {"required": route.body_required, "content": {JSON: {"schema": schemas.of(strict(route.body))}}}


def _answer(answer: Answer, schemas: _Schemas, routes: Sequence[Route]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    content: dict[str, Any] = {}
    for media_type in answer.media_types:
        if media_type != JSON:
            content[media_type] = {"schema": {"type": "string"}}
        elif len(answer.kinds) == 1:
            content[media_type] = {"schema": schemas.of(answer.kinds[0])}
        elif answer.kinds:
            content[media_type] = {"schema": {"anyOf": [schemas.of(kind) for kind in answer.kinds]}}
        else:
            content[media_type] = {"schema": {"type": "object"}}
    if content:
        described["content"] = content
    if answer.identifies is not None:
        field, path = answer.identifies
        described["links"] = {
            route.name: {"operationId": route.name, "parameters": {"id": f"$response.body#/{field}"}}
            for route in routes
            if route.path.startswith(path)
        }
    return described


def _problem(status: int, schemas: _Schemas) -> dict[str, Any]:
    words = [word for word, (of_status, _) in KINDS.items() if of_status == status]
    described: dict[str, Any] = {
        "description": " / ".join(f"`{word}`: {KINDS[word][1]}." for word in words),
        "content": {PROBLEM_TYPE: {"schema": schemas.of(Problem)}},
    }
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return described


def _name_header(name: str) -> dict[str, Any]:
    kind = re.sub(r"^X-Leasehold-", "", name).lower()
    return {
        "name": name,
        "in": "header",
        "description": f"Development mode only: the caller's {kind}. Default: `default`.",
        "schema": {"type": "string", "pattern": NAME_PATTERN, "examples": ["default"]},
    }


_ROLES_HEADER = {
    "name": ROLES_HEADER,
    "in": "header",
    "description": "Development mode only: the caller's roles, separated by commas. Absent: `operator`. Empty: none.",
    "schema": {"type": "string", "pattern": ROLES_PATTERN, "examples": ["operator"]},
}
