"""What the model of Elasticsearch makes of a document: checks it against the mapping, and says what can be searched.

Knows the field types that `leasehold.ilm` uses and refuses mappings with others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

LONG = (-(2**63), 2**63 - 1)
INTEGER = (-(2**31), 2**31 - 1)
DEEPEST = 1000

Values = dict[str, list[Any]]

_LETTERS_JOIN = "'.:’·"
_DIGITS_JOIN = ".,;'’"


class ModelDoesNotKnow(AssertionError):
    """The model was asked for something that it does not model: extend it, with a contract test, or ask less."""


class Malformed(Exception):
    """Elasticsearch would refuse this document with 400 `document_parsing_exception`."""


def parse(source: bytes) -> dict[str, Any]:
    """The document as Elasticsearch parses it: strict JSON, no key twice in an object. Raises: Malformed."""
    try:
        document = json.loads(source, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    if not isinstance(document, dict):
        raise Malformed("Malformed content, must start with an object")
    if _depth(document) > DEEPEST:
        raise Malformed(f"Document nesting depth exceeds the maximum allowed ({DEEPEST})")
    return document


def index_values(document: Mapping[str, Any], mapping: Mapping[str, Any]) -> Values:
    """What each mapped field of the document holds, as it is searched. Raises: Malformed."""
    if mapping.get("dynamic") is not False:
        raise ModelDoesNotKnow("only mappings with `dynamic: false` are modelled")
    values: Values = {}
    _index_object(document, mapping.get("properties", {}), "", values)
    return values


def field_type(mapping: Mapping[str, Any], path: str) -> str | None:
    """The type of a mapped field (that of its target, for an alias); None when nothing of that name is indexed."""
    spec = _find(mapping, path)
    if spec is not None and spec.get("type") == "alias":
        spec = _find(mapping, spec["path"])
    return None if spec is None or spec.get("enabled") is False else spec.get("type")


def real_path(mapping: Mapping[str, Any], path: str) -> str:
    """The path that a field's values are kept under: an alias's target."""
    spec = _find(mapping, path)
    return str(spec["path"]) if spec is not None and spec.get("type") == "alias" else path


def searchable(value: Any, type: str) -> Any:
    """A value as a query compares it. Raises: ValueError for what the type cannot hold."""
    if type == "keyword":
        return _text_of(value)
    if type in ("long", "integer"):
        number = float(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{value!r} is no number")
        whole = int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else int(number)
        low, high = LONG if type == "long" else INTEGER
        if not low <= whole <= high:
            raise ValueError(f"{value!r} is out of range")
        return whole
    if type == "double":
        if isinstance(value, bool):
            raise ValueError(f"{value!r} is no number")
        return float(value)
    if type == "boolean":
        if value in (True, False):
            return bool(value)
        if value in ("true", "false", ""):
            return value == "true"
        raise ValueError(f"{value!r} is no boolean")
    if type == "date":
        return _millis(value)
    if type == "text":
        return _text_of(value)
    raise ModelDoesNotKnow(f"field type {type!r}")


def words_of(text: str) -> set[str]:
    """The standard analyzer's words of a text in an alphabet: a mark joins two letters, or two digits, around it."""
    words, word = set(), ""
    for position, character in enumerate(text):
        before, after = text[position - 1 : position], text[position + 1 : position + 2]
        joins = bool(word) and (
            (character in _LETTERS_JOIN and before.isalpha() and after.isalpha())
            or (character in _DIGITS_JOIN and before.isdecimal() and after.isdecimal())
        )
        if joins or re.match(r"\w", character):
            word += character.lower()
            continue
        words.add(word)
        word = ""
    return {one for one in words | {word} if one}


def _find(mapping: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    spec: Mapping[str, Any] = mapping
    for part in path.split("."):
        found = spec.get("properties", {}).get(part)
        if found is None:
            return None
        spec = found
    return spec


def _index_object(node: Mapping[str, Any], properties: Mapping[str, Any], prefix: str, values: Values) -> None:
    for key, value in node.items():
        if not key:
            raise Malformed("field name cannot be an empty string")
        name, _, rest = key.partition(".")
        spec = properties.get(name)
        if spec is None or spec.get("enabled") is False:
            continue
        if rest:
            value = {rest: value}
        _index_field(value, spec, prefix + name, values)


def _index_field(value: Any, spec: Mapping[str, Any], path: str, values: Values) -> None:
    for item in _flattened(value):
        if "properties" in spec:
            if item is None:
                continue
            if not isinstance(item, dict):
                raise Malformed(f"object mapping for [{path}] tried to parse field [{path}] as object, found a value")
            _index_object(item, spec["properties"], path + ".", values)
        elif item is not None:
            _index_value(item, spec, path, values)


def _index_value(value: Any, spec: Mapping[str, Any], path: str, values: Values) -> None:
    type = spec["type"]
    if isinstance(value, dict) or type == "alias":
        raise Malformed(f"failed to parse field [{path}] of type [{type}]")
    try:
        found = searchable(value, type)
    except ValueError as error:
        raise Malformed(f"failed to parse field [{path}] of type [{type}]: {error}") from error
    if type == "keyword" and len(found) > spec.get("ignore_above", len(found)):
        return
    target = spec.get("copy_to", path)
    values.setdefault(target, []).append(found)


def _flattened(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flattened(item)
    else:
        yield value


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _millis(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no date")
    if isinstance(value, int):
        return value
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("Duplicate field")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Non-standard token '{name}'")


def _depth(document: Any) -> int:
    deepest = 0
    stack = [(document, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        children = node.values() if isinstance(node, dict) else node
        stack.extend((child, depth + 1) for child in children if isinstance(child, dict | list))
    return deepest
