"""The JSON Schema of definitions, for editors: generated from the models, so it can't drift from them."""

from __future__ import annotations

from typing import Any

from .blueprints.schema import with_blocks
from .definition import Definition
from .durations import duration_text


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of one definition as it is accepted now.

    What only the whole document shows (dependencies, templates, bounds that must agree) is left to `load`.
    """
    schema = with_blocks(Definition.model_json_schema(by_alias=True, mode="validation"))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Leasehold workflow definition",
        **_as_written({key: value for key, value in schema.items() if key != "title"}),
    }


def _as_written(schema: Any) -> Any:
    """The schema of what an author writes.

    Fields that may be left out are optional, and not nullable, as pydantic has them; defaults of durations are
    durations, not milliseconds; names that do not fit their pattern are refused.
    """
    if isinstance(schema, list):
        return [_as_written(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    arms = schema.get("anyOf")
    if isinstance(arms, list) and {"type": "null"} in arms:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        others = [arm for arm in arms if arm != {"type": "null"}]
        return _as_written({**(others[0] if len(others) == 1 else {"anyOf": others}), **rest})
    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    if schema.get("type") == "string" and isinstance(schema.get("default"), int):
        schema = {**schema, "default": duration_text(schema["default"])}
    if "patternProperties" in schema:
        schema = {**schema, "additionalProperties": False}
    return {key: _as_written(value) for key, value in schema.items()}
