"""The language's own filters: `json`, `from_json`, `duration`, `date`, `jmespath`, `hash`, `b64`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from ...durations import duration_ms, duration_text
from ...timestamps import formatted_date
from ...words import kind
from ..meter import Meter, finite, utf8_bytes
from ..operations import text_of
from .queries import query

_JSON_INDENT_MAX = 8
_HASHES = ("sha256", "sha512", "sha1", "md5")
_CALL = 10
"""Operations that a filter's own work is worth, whatever its value."""


def encoded(meter: Meter, value: Any, indent: Any = None) -> str:
    """`json`: the value as JSON; `indent` by up to 8 spaces for people to read."""
    meter.walk(value)
    spaces = 0 if indent is None else indent
    if not isinstance(spaces, int) or not 0 <= spaces <= _JSON_INDENT_MAX:
        raise TypeError(f"json's indent is an integer from 0 to {_JSON_INDENT_MAX}")
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators, default=_plain_mapping
    )
    meter.text(len(text))
    return text


def decoded(meter: Meter, value: Any) -> Any:
    """`from_json`: the value that a JSON text stands for."""
    if not isinstance(value, str):
        raise TypeError(f"from_json takes a text, not {kind(value)}")
    meter.charge(_CALL + (len(value) >> 2))
    try:
        made = json.loads(value, parse_constant=_no_constant, parse_int=_integer, parse_float=_number)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"from_json: {error.msg} at character {error.pos + 1}") from None
    meter.walk(made)
    return made


def digest(meter: Meter, value: Any, algorithm: Any = "sha256") -> str:
    """`hash`: hexadecimal digest of a text, or of any other value's JSON with sorted keys."""
    if algorithm not in _HASHES:
        raise TypeError(f"hash knows {', '.join(_HASHES)}")
    if isinstance(value, str):
        text = text_of(meter, value)
    else:
        meter.walk(value)
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain_mapping)
    meter.charge(utf8_bytes(text) >> 4)
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def base64_text(meter: Meter, value: Any, decode: bool = False) -> str:
    """`b64`: the text (or JSON) in Base64; with `decode=true` the text that was encoded."""
    text = text_of(meter, value)
    meter.text(utf8_bytes(text) * 2)
    if not decode:
        return base64.b64encode(text.encode()).decode()
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise ValueError("b64(decode=true): not the Base64 form of a UTF-8 text") from None


def duration(meter: Meter, value: Any) -> int | str:
    """`duration`: `"5m"` as milliseconds, 300000; or milliseconds in the shortest writing, `"5m"`."""
    meter.charge(_CALL)
    if isinstance(value, str):
        try:
            return duration_ms(value)
        except ValueError as error:
            raise ValueError(f"duration: {error}") from None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"duration takes a duration or whole milliseconds, not {kind(value)}")
    return duration_text(value)


def date_text(meter: Meter, value: Any, format: Any = "iso") -> str | int:
    """`date`: a timestamp (ISO 8601, or milliseconds since the epoch) in another form, always in UTC."""
    meter.charge(_CALL)
    return formatted_date(value, format)


def queried(meter: Meter, value: Any, expression: Any) -> Any:
    """`jmespath`: what the expression finds in the value; null where it finds nothing."""
    return query(meter, value, expression)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"from_json: {name} is not JSON")


def _integer(digits: str) -> int | float:
    if len(digits) > 20:
        raise ValueError("from_json: an integer does not fit in 64 bits")
    return finite(int(digits))


def _number(text: str) -> int | float:
    return finite(float(text))


def _plain_mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError(f"{kind(value)} is not a JSON value")
