"""Elastic's published interface, as far as `tests/data/elasticsearch-api.json` holds it: what fits into it.

The file says how it reads. Settings are looked up by their dotted names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

_FILE = Path(__file__).parent.parent / "data" / "elasticsearch-api.json"
_DURATION = re.compile(r"-1|0|\d+(\.\d+)?(nanos|micros|ms|s|m|h|d)")
_SIZE = re.compile(r"\d+(b|kb|mb|gb|tb|pb)", re.IGNORECASE)


@cache
def published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def request_of(method: str, path: str) -> str:
    """The entry that a request falls under. Raises: AssertionError for one that is not published."""
    bare = path.partition("?")[0]
    for entry in published()["requests"]:
        known, _, pattern = entry.partition(" ")
        # No name of an index begins with `_`.
        if known == method and re.fullmatch(re.sub(r"\{index\}|\{alias\}", "[^/_][^/]*", _any_part(pattern)), bare):
            return str(entry)
    raise AssertionError(f"no such request is published: {method} {bare}")


def _any_part(pattern: str) -> str:
    return re.sub(r"\{(?!index|alias)\w+\}", "[^/]+", pattern)


def check_request(method: str, path: str, body: Any) -> str:
    """Returns the entry of a request that is as it is published. Raises: AssertionError with everything that is not."""
    entry = request_of(method, path)
    shape = published()["requests"][entry]
    allowed = {*shape["query"], *published()["query_of_every_request"]}
    faults = [
        f"unknown query parameter {name}"
        for name, _ in parse_qsl(path.partition("?")[2], keep_blank_values=True)
        if name not in allowed
    ]
    if "body" not in shape and body is not None:
        faults.append("it has a body")
    if "body" in shape:
        faults += _faults("body", shape["body"], body)
    assert not faults, f"{entry}: {'; '.join(faults)}"
    return entry


def check_answer(entry: str, answer: Any) -> None:
    """Whether an answer, one of success, is as it is published. Raises: AssertionError."""
    shape = published()["requests"][entry].get("answer")
    faults = [] if shape is None else list(_faults("answer", shape, answer))
    assert not faults, f"{entry}: {'; '.join(faults)}"


def _faults(place: str, shape: Any, value: Any) -> Iterator[str]:
    if isinstance(shape, Mapping):
        yield from _fields(place, shape, value)
    elif shape.startswith("{") and shape.endswith("}"):
        if not isinstance(value, Mapping):
            yield f"{place} is no object"
            return
        for key, inner in value.items():
            yield from _faults(f"{place}.{key}", shape[1:-1], inner)
    elif shape.startswith("[") and shape.endswith("]"):
        for number, inner in enumerate(value if isinstance(value, list) else [None]):
            yield from _faults(f"{place}[{number}]", shape[1:-1], inner)
    elif shape in published()["types"]:
        yield from _faults(place, published()["types"][shape], value)
    elif "|" in shape:
        if all(list(_faults(place, one, value)) for one in shape.split("|")):
            yield f"{place} is {value!r}, and not {shape}"
    elif not _is(shape, value):
        yield f"{place} is {value!r}, and no {shape}"


def _fields(place: str, shape: Mapping[str, Any], value: Any) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{place} is no object"
        return
    known = {name.removesuffix("?"): (inner, name.endswith("?")) for name, inner in shape.items()}
    for name, (_, optional) in known.items():
        if not optional and name != "..." and name not in value:
            yield f"{place}.{name} is missing"
    for name, inner in value.items():
        # A setting may be written with its whole name.
        first, _, rest = name.removeprefix("index.").partition(".")
        if name in known:
            yield from _faults(f"{place}.{name}", known[name][0], inner)
        elif first in known and known[first][0] == "{any}":
            continue
        elif rest and first in known:
            yield from _faults(f"{place}.{first}", known[first][0], {rest: inner})
        elif name.startswith("index.") and first in known:
            yield from _faults(f"{place}.{first}", known[first][0], inner)
        elif "..." not in known:
            yield f"{place}.{name} is unknown"


def _is(shape: str, value: Any) -> bool:
    match shape:
        case "any":
            return True
        case "object":
            return isinstance(value, Mapping)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "duration":
            return isinstance(value, str) and _DURATION.fullmatch(value) is not None
        case "size":
            return isinstance(value, str) and _SIZE.fullmatch(value) is not None
        case _:
            return bool(value == shape)
