"""Reading and decoding request bodies, within bounds.

A body is read whole, then decoded once into its (strict) struct. What no decoder should see is refused before: too many
bytes, another format, nesting deeper than `MAX_DEPTH`. Deep nesting would pass here and break later, in templates or
in Elasticsearch's own parser.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from ....claim.wire import Violation
from ...errors import PayloadTooLarge
from ..http1 import BodyBroken, BodyTooLarge, Request
from ..problems import RequestProblem, refuse
from ..words import did_you_mean, listed, nearest, shown
from .strict import strict

B = TypeVar("B", bound=Struct)

MAX_DEPTH = 100
READ_TIMEOUT_S = 30.0
JSON_TYPES = ("application/json",)
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

_CURL_DEFAULT = "application/x-www-form-urlencoded"
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`(?: - at `(\$[^`]*)`)?\Z", re.DOTALL)
_AT = re.compile(r" - at `(\$[^`]*)`\Z")


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body, unpacked.

    Raises: PayloadTooLarge once it is known to have more than `limit_bytes`; RequestProblem (400) when the connection
    delivers no valid body, (408) when it takes longer than READ_TIMEOUT_S, (415) for a packing that is not known here.
    """
    if not request.body_arrived or "Expect" in request.headers:
        _announce(request, limit_bytes)
    try:
        if request.body_arrived:
            raw = await request.body(limit_bytes)
        else:
            async with asyncio.timeout(READ_TIMEOUT_S):
                raw = await request.body(limit_bytes)
    except TimeoutError:
        raise refuse("request-timeout", f"the body was not complete after {READ_TIMEOUT_S:.0f} seconds") from None
    except BodyTooLarge as error:
        raise PayloadTooLarge("the request's body", error.size_bytes, limit_bytes) from None
    except BodyBroken as error:
        raise refuse("invalid-request", f"the body can't be read: {shown(str(error))}") from None
    packing = request.headers.get("Content-Encoding")
    return raw if packing is None else _unpacked(raw, packing, limit_bytes)


def _announce(request: Request, limit_bytes: int) -> None:
    """Refuse a body by its announced length, or ask for it where the client waits for that."""
    length = request.content_length
    if length is not None and length > limit_bytes:
        raise PayloadTooLarge("the request's body", length, limit_bytes)
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if expected.lower() != "100-continue":
        raise refuse("expectation-failed", f"Expect is {shown(expected)}; allowed: 100-continue")
    request.ask_for_body()


def _unpacked(raw: bytes, packing: str, limit_bytes: int) -> bytes:
    """No more than the limit is ever unpacked."""
    if packing.lower() == "identity":
        return raw
    if packing.lower() not in ("gzip", "x-gzip", "deflate"):
        raise refuse("unsupported-media-type", f"Content-Encoding is {shown(packing)}; allowed: gzip or deflate")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # tells gzip from deflate by itself
    try:
        body = unpacker.decompress(raw, limit_bytes + 1)
    except zlib.error as error:
        raise refuse("invalid-request", f"the body can't be unpacked: {error}") from None
    if len(body) > limit_bytes:
        raise PayloadTooLarge("the request's body", len(body), limit_bytes)
    if raw and (not unpacker.eof or unpacker.unused_data):
        raise refuse("invalid-request", "the body can't be unpacked: it is cut short, or something follows it")
    return body


def media_type(request: Request, allowed: tuple[str, ...]) -> str | None:
    """The body's media type in lower case, None where the request names none. Raises: RequestProblem (415)."""
    given = request.headers.get("Content-Type")
    if given is None or given in allowed:
        return given
    name, _, parameters = given.partition(";")
    name = name.strip().lower()
    if name not in allowed:
        curl = " (curl -d needs -H 'Content-Type: application/json')" if name == _CURL_DEFAULT else ""
        detail = f"Content-Type is {shown(given)}; allowed: {' or '.join(allowed)}{curl}"
        raise refuse("unsupported-media-type", detail)
    charset = re.search(r'charset="?([^";\s]*)', parameters, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
        raise refuse("unsupported-media-type", f"the charset is {shown(charset[1])}; allowed: utf-8")
    return name


class BodyReader(Generic[B]):
    """Decodes JSON bodies into one struct; built once a route."""

    def __init__(self, kind: type[B]) -> None:
        self.kind = strict(kind)
        self._decoder: msgspec.json.Decoder[B] = msgspec.json.Decoder(self.kind)

    def decode(self, raw: bytes) -> B:
        """Raises: RequestProblem (400), naming the place and, for a misspelt field, the nearest."""
        check_depth(raw)
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError as error:
            return self._decode_again(raw, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise not_json(raw, error) from None

    def _decode_again(self, raw: bytes, message: str) -> B:
        """The rare way: `2.0` is an integer to JSON Schema, hence to the OpenAPI document, but not to the decoder."""
        if "got `float`" not in message:
            raise _misfit(message, self.kind)
        (schema,), components = msgspec.json.schema_components([self.kind], ref_template="{name}")
        try:
            body: B = msgspec.convert(_with_integers(msgspec.json.decode(raw), schema, components), self.kind)
        except msgspec.ValidationError as error:
            raise _misfit(str(error), self.kind) from None
        return body


def not_json(raw: bytes, error: Exception) -> RequestProblem:
    """The problem of a body that is no JSON text."""
    if not raw.strip():
        return refuse("invalid-request", "the body is empty; a JSON object is needed")
    return refuse("invalid-request", f"the body is not JSON in UTF-8: {error}")


def check_depth(raw: bytes) -> None:
    """Raises: RequestProblem (400) if arrays and objects nest deeper than MAX_DEPTH.

    Brackets alone decide, with those inside strings taken for real at first: innermost pairs are removed again and
    again, which ends after a few passes for any ordinary body. What survives is measured exactly.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    brackets = raw.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        size = len(brackets)
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not brackets:
            return
        if len(brackets) == size:
            break
    if _depth(raw) > MAX_DEPTH:
        raise refuse("invalid-request", f"the body nests arrays and objects deeper than {MAX_DEPTH} levels")


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in _STRINGS.sub(b"", raw).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _misfit(message: str, kind: type[Struct]) -> RequestProblem:
    """A value that does not fit its struct, told with its place."""
    unknown = _UNKNOWN_FIELD.search(message)
    if unknown is not None:
        return _unknown_field(unknown[1], unknown[2] or "$", kind)
    at = _AT.search(message)
    path = at[1] if at else "$"
    found = _AT.sub("", message)
    detail = f"the body does not fit: {found[:1].lower()}{found[1:]} at {path}".replace("`", "")
    return refuse("invalid-request", detail, violations=[Violation(path=path, message=found.replace("`", ""))])


def _unknown_field(name: str, path: str, kind: type[Struct]) -> RequestProblem:
    known = _known_fields(kind, path)
    allowed = f"; allowed: {listed(known)}" if known else ""
    detail = f"there is no field {shown(name)} at {path}{allowed}{did_you_mean(name, known)}"
    violation = Violation(
        path=path, message="unknown field", found=shown(name), allowed=listed(known), nearest=nearest(name, known)
    )
    return refuse("invalid-request", detail, violations=[violation])


def _known_fields(kind: type[Struct], path: str) -> list[str]:
    """The fields of the struct that stands at `path`, by the struct's JSON Schema."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
    for name, _ in re.findall(r"\.(\w+)|(\[\d+\]|\[\.\.\.\])", path):
        schema = _step_into(schema, components, name)
    return sorted(_resolve(schema, components).get("properties", {}))


def _step_into(schema: dict[str, Any], components: dict[str, Any], name: str) -> dict[str, Any]:
    schema = _resolve(schema, components)
    inner = schema.get("properties", {}).get(name) if name else schema.get("items", schema.get("additionalProperties"))
    return inner if isinstance(inner, dict) else {}


def _with_integers(value: Any, schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """`value` with its whole numbers as integers, where the schema asks for those."""
    schema = _resolve(schema, components)
    if isinstance(value, float) and value.is_integer():
        return int(value) if "integer" in _kinds(schema) else value
    if isinstance(value, dict):
        return {
            name: _with_integers(inner, _step_into(schema, components, name), components)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_integers(inner, _step_into(schema, components, ""), components) for inner in value]
    return value


def _kinds(schema: dict[str, Any]) -> list[Any]:
    return [option.get("type") for option in schema.get("anyOf", (schema,))]


def _resolve(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    for option in schema.get("anyOf", (schema,)):
        if "$ref" in option:
            found: dict[str, Any] = components[option["$ref"]]
            return found
    return schema
