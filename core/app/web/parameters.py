"""What a request says in its path, query and headers, as one typed struct a route.

A field of such a struct is a path parameter if the route's path names it, a header if its schema has `x-header`, and
else a query parameter; `x-hidden` keeps it out of the document. Absent ones have the field's default; `UNSET` is "not
given". A list in the query is a parameter that may be given several times. The struct's JSON Schema is the single
source: it makes the OpenAPI document, and the sentence that a wrong value is answered with (`x-allowed`, or what its
bounds say; `x-words` are the words that it may consist of).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct
from multidict import CIMultiDictProxy

from ....claim.wire import Violation
from ..problems import RequestProblem, refuse
from ..words import allowed_by, listed, nearest, shown
from .router import decoded

P = TypeVar("P", bound=Struct)

DURATION_PATTERN = (
    r"^([0-9]{1,12}(ms|s|m|h|d)|P(?=[0-9T])([0-9]{1,9}D)?(T(?=[0-9])([0-9]{1,9}H)?([0-9]{1,9}M)?([0-9]{1,9}S)?)?)$"
)

Duration = Annotated[
    str,
    Meta(
        pattern=DURATION_PATTERN,
        extra_json_schema={"x-allowed": "a duration such as 500ms, 30s, 5m, 4h, 7d or PT30S", "examples": ["30s"]},
    ),
]
"""Integer amounts only: what executors and people write. The definition language reads the same words."""

_QUERY_MAX_CHARACTERS = 8_192
_PLACE = re.compile(r"`\$\.(\w+)`|required field `(\w+)`")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIMPLE_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d)", re.ASCII)
_ISO_DURATION = re.compile(r"P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?", re.ASCII)


def duration_ms(text: str) -> int:
    """The milliseconds of a `Duration` that has passed its pattern."""
    simple = _SIMPLE_DURATION.match(text)
    if simple is not None:
        return int(simple[1]) * _UNIT_MS[simple[2]]
    parts = _ISO_DURATION.match(text)
    if parts is None:
        raise ValueError(f"not a duration: {text!r}")
    return sum(int(part or 0) * _UNIT_MS[unit] for part, unit in zip(parts.groups(), ("d", "h", "m", "s"), strict=True))


class NoParameters(Struct, frozen=True):
    """For routes that take none."""


class Field(NamedTuple):
    """One parameter: `attribute` names the struct's field, `name` what stands in the request.

    `several`: it may be given more than once, and is a list. `words`: what the values between commas can be.
    """

    attribute: str
    name: str
    place: Literal["path", "query", "header"]
    required: bool
    schema: dict[str, Any]
    description: str
    allowed: str
    hidden: bool
    several: bool
    words: tuple[str, ...]


class ParameterReader(Generic[P]):
    """Reads one kind of parameters struct; built once a route."""

    def __init__(self, kind: type[P], path: str) -> None:
        self._kind = kind
        self.fields = _fields_of(kind, re.findall(r"\{(\w+)\}", path))
        self._path = [field.attribute for field in self.fields if field.place == "path"]
        self._query = {field.name: field.attribute for field in self.fields if field.place == "query"}
        self._headers = [(field.name, field.attribute) for field in self.fields if field.place == "header"]
        self._by_attribute = {field.attribute: field for field in self.fields}
        self._constant = kind() if not self.fields else None

    def read(self, values: list[str], raw_query: str, headers: CIMultiDictProxy[str]) -> P:
        """Raises: RequestProblem (400) that says what was found and what is allowed."""
        if self._constant is not None and not raw_query:
            return self._constant
        found: dict[str, Any] = dict(zip(self._path, values, strict=True))
        if raw_query:
            self._read_query(raw_query, found)
        for name, attribute in self._headers:
            given = headers.getall(name, ())
            if len(given) > 1 and name != "Accept":
                raise _wrong(f"the header {name} is given {len(given)} times; once is allowed", f"header.{name}")
            if given:
                found[attribute] = ",".join(given)
        try:
            return msgspec.convert(found, self._kind, strict=False)
        except msgspec.ValidationError as error:
            raise self._explained(error, found) from None

    def _read_query(self, raw_query: str, found: dict[str, Any]) -> None:
        for name, value in query_pairs(raw_query):
            attribute = self._query.get(name)
            if attribute is None:
                raise self._unknown(name)
            if self._by_attribute[attribute].several:
                found.setdefault(attribute, []).append(value)
                continue
            if attribute in found:
                raise _wrong(f"the query parameter {name} is given twice; once is allowed", f"query.{name}")
            found[attribute] = value

    def _unknown(self, name: str) -> RequestProblem:
        known = f"allowed: {listed(self._query)}" if self._query else "this path takes none"
        candidate = nearest(name, self._query)
        meant = f"; did you mean {candidate}?" if candidate else ""
        return _wrong(f"there is no query parameter {shown(name)}; {known}{meant}", "query", nearest=candidate)

    def _explained(self, error: msgspec.ValidationError, found: dict[str, Any]) -> RequestProblem:
        place = _PLACE.search(str(error))
        field = self._by_attribute.get((place[1] or place[2]) if place else "")
        if field is None:
            return refuse("invalid-request", str(error))
        label = {"path": "the path's", "query": "the query parameter", "header": "the header"}[field.place]
        if field.attribute not in found:
            return _wrong(
                f"{label} {field.name} is missing; allowed: {field.allowed}",
                f"{field.place}.{field.name}",
                allowed=field.allowed,
            )
        given = found[field.attribute]
        value = ", ".join(given) if isinstance(given, list) else given
        strange = next((word for word in value.split(",") if field.words and word not in field.words), None)
        meant = nearest(strange, field.words) if strange else None
        return _wrong(
            f"{label} {field.name} is {shown(value)}; allowed: {field.allowed}"
            + (f"; did you mean {meant}?" if meant else ""),
            f"{field.place}.{field.name}",
            found=value if value.isprintable() else shown(value),
            allowed=field.allowed,
            nearest=meant,
        )


def query_pairs(raw_query: str) -> list[tuple[str, str]]:
    """Names and values in order, decoded. Raises: RequestProblem when they are no UTF-8 text, or too long."""
    if len(raw_query) > _QUERY_MAX_CHARACTERS:
        raise refuse(
            "invalid-request", f"the query has {len(raw_query)} characters; {_QUERY_MAX_CHARACTERS} are allowed"
        )
    plain = raw_query.isascii() and "%" not in raw_query and "+" not in raw_query
    pairs = []
    for part in raw_query.split("&"):
        if part:
            name, _, value = part.partition("=")
            if not plain:
                name = decoded(name.replace("+", " "), "the query")
                value = decoded(value.replace("+", " "), "the query")
            pairs.append((name, value))
    return pairs


def _wrong(
    detail: str, path: str, *, found: str | None = None, allowed: str | None = None, nearest: str | None = None
) -> RequestProblem:
    violation = Violation(path=path, message=detail, found=found, allowed=allowed, nearest=nearest)
    return refuse("invalid-request", detail, violations=[violation])


def _fields_of(kind: type[Struct], path_names: list[str]) -> list[Field]:
    _, components = msgspec.json.schema_components([kind], ref_template="{name}")
    schema = components[kind.__name__]
    fields = []
    for attribute, found in schema.get("properties", {}).items():
        attribute_schema = {key: value for key, value in found.items() if key != "default"}
        header = attribute_schema.pop("x-header", None)
        allowed = allowed_by(attribute_schema)
        attribute_schema.pop("x-allowed", None)
        hidden = bool(attribute_schema.pop("x-hidden", False))
        words = tuple(attribute_schema.pop("x-words", attribute_schema.get("enum", ())))
        description = attribute_schema.pop("description", "")
        fields.append(
            Field(
                attribute,
                header or attribute,
                "header" if header else "path" if attribute in path_names else "query",
                attribute in schema.get("required", ()),
                attribute_schema,
                description,
                allowed,
                hidden,
                attribute_schema.get("type") == "array",
                words,
            )
        )
    in_path = {field.name for field in fields if field.place == "path"}
    if in_path != set(path_names):
        raise TypeError(f"{kind.__name__} has path parameters {sorted(in_path)}, the path {sorted(path_names)}")
    return sorted(fields, key=lambda field: path_names.index(field.name) if field.place == "path" else len(path_names))
