"""The JSON Schema of definitions, for editors: generated from the models, so it can't drift from them."""

from __future__ import annotations

from typing import Any

from .definition import Definition


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of one definition as it is accepted now.

    What only the whole document shows (dependencies, templates, bounds that must agree) is left to `load`.
    """
    schema = Definition.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Leasehold workflow definition",
        **_without_null({key: value for key, value in schema.items() if key != "title"}),
    }


def _without_null(schema: Any) -> Any:
    """Fields that may be left out are optional; pydantic writes them as nullable, which they are not."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    arms = schema.get("anyOf")
    if isinstance(arms, list) and {"type": "null"} in arms and len(arms) == 2:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return _without_null({**next(arm for arm in arms if arm != {"type": "null"}), **rest})
    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    return {key: _without_null(value) for key, value in schema.items()}
