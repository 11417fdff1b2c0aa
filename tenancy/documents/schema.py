"""The JSON Schema of the documents, for editors: generated from the models, so it can't drift from them."""

from __future__ import annotations

from typing import Any

from .durations import duration_text
from .models import DeploymentModel, TenantModel


def json_schema(*, deployment: bool = False) -> dict[str, Any]:
    """JSON Schema 2020-12 of a tenant's document, or of the deployment's."""
    model = DeploymentModel if deployment else TenantModel
    schema = _as_written(model.model_json_schema(mode="validation"))
    title = "Leasehold deployment document" if deployment else "Leasehold tenant document"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def _as_written(schema: Any) -> Any:
    """The schema of what somebody writes.

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
        (arm,) = (arm for arm in arms if arm != {"type": "null"})
        return _as_written({**arm, **rest})
    if schema.get("type") == "string" and isinstance(schema.get("default"), int):
        schema = {**schema, "default": duration_text(schema["default"])}
    if "patternProperties" in schema:
        schema = {**schema, "additionalProperties": False}
    return {key: _as_written(value) for key, value in schema.items()}
