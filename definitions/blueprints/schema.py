"""What `blocks` and `use` add to the JSON Schema of definitions.

Blueprints have none: a place for a value may stand where a number, a duration or a list has to be in the end.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..fields import NAME, Model, Name
from .spec import BlockSpec

_STEP = {"$ref": "#/$defs/ExecutorStep"}
_OF_SWITCH = ("switch", "cases", "else")


class Blocks(Model):
    """The key that a definition with blocks has beside those of any."""

    blocks: dict[Name, BlockSpec] = Field(description="Lists of steps with parameters, for steps to `use`.")


def with_blocks(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of definitions, pydantic's, with blocks in it."""
    own = Blocks.model_json_schema(by_alias=True, mode="validation")
    known = schema["$defs"]
    whole = {
        **schema,
        "properties": {**schema["properties"], **own["properties"]},
        "$defs": {**own["$defs"], **known, "UseStep": _use(known["SwitchStep"])},
    }
    found: dict[str, Any] = _with_use(whole)
    return found


def _use(switch: dict[str, Any]) -> dict[str, Any]:
    """A step that uses a block: what it becomes, without what it becomes that by."""
    common = {key: value for key, value in switch["properties"].items() if key not in _OF_SWITCH}
    name = {**common["name"], "description": "Names the step; without it, it is called as its block."}
    use = {"description": "The block's name.", "type": "string", "pattern": NAME}
    given = {"description": "Values for the block's parameters.", "type": "object"}
    return {
        **switch,
        "title": "UseStep",
        "description": "A block in the place of a step; its result is that of the block's last step.",
        "properties": {**common, "name": name, "use": use, "with": given},
        "required": ["use"],
    }


def _with_use(schema: Any) -> Any:
    """The schema with a use of a block wherever it has a step of any kind."""
    if isinstance(schema, list):
        return [_with_use(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _with_use(value) for key, value in schema.items()}
    if _STEP in made.get("oneOf", ()):
        made["oneOf"] = [*made["oneOf"], {"$ref": "#/$defs/UseStep"}]
    return made
