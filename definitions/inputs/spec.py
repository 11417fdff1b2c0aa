"""What a definition declares of its inputs: types and bounds, as in `alert_id: {type: string, required: true}`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from ..fields import Given, Model, Text

InputType = Literal["string", "integer", "number", "boolean", "object", "array", "duration", "timestamp"]


class InputSpec(Model):
    """One input, or the items of an array, or a field of an approval's form."""

    type: InputType = Field(description="What a value must be. Booleans are no integers; nothing is converted.")
    required: bool = Field(default=False, description="Whether a start must give it.")
    default: Any = Field(default=None, description="The value where a start gives none; null is allowed here.")
    description: Given[Text] = Field(default=None, description="For people.")
    pattern: Annotated[
        Given[Annotated[str, StringConstraints(min_length=1, max_length=500)]],
        Field(
            description="Regular expression that a string must contain a match of; anchor it with ^ and $. "
            "Linear-time syntax: no look-around, no back-references."
        ),
    ] = None
    enum: Given[Annotated[list[Any], Field(min_length=1, max_length=1000)]] = Field(
        default=None, description="The only values allowed."
    )
    min: Any = Field(
        default=None,
        description="Least number, duration or timestamp; for strings and arrays the least length.",
        json_schema_extra={"type": ["number", "string"]},
    )
    max: Any = Field(
        default=None,
        description="Greatest number, duration or timestamp; for strings and arrays the greatest length.",
        json_schema_extra={"type": ["number", "string"]},
    )
    items: Given[InputSpec] = Field(default=None, description="What each item of an array must be.")
