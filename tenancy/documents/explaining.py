"""From pydantic's errors to faults that somebody understands at night: the path, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .errors import Fault, Path
from .models import PATTERN_WORDS, RateModel
from .words import did_you_mean, listed, nearest, shown

FAULTS_MAX = 100

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Each of pydantic's errors as a fault; of very many, the first ones."""
    return [_fault(details, model) for details in error.errors(include_url=False)[:FAULTS_MAX]]


def _fault(details: ErrorDetails, model: type[BaseModel]) -> Fault:
    path, context, kind = tuple(details["loc"]), details.get("ctx", {}), details["type"]
    if kind == "refused":
        return Fault(path, context["message"], context["found"], context["allowed"])
    if kind == "extra_forbidden":
        return _unknown_key(path, _model_at(model, path[:-1]))
    if kind == "missing":
        return Fault(path, f"`{path[-1]}` is missing", allowed="a value")
    if path and path[-1] == "[key]":
        allowed = PATTERN_WORDS.get(str(context.get("pattern")), "a name")
        return Fault(path[:-1], f"found the name {shown(path[-2])}; allowed: {allowed}", shown(path[-2]), allowed)
    return _bad_value(path, details, context, model)


def _bad_value(path: Path, details: ErrorDetails, context: Mapping[str, Any], model: type[BaseModel]) -> Fault:
    value, kind = details["input"], details["type"]
    allowed, near = _allowed(kind, context, value)
    if _model_at(model, path) is RateModel:
        allowed = 'an object such as {"per_s": 5, "burst": 10}'
    if allowed is None:
        return Fault(path, f"found {shown(value)}; {details['msg']}", shown(value))
    return Fault(path, f"found {shown(value)}; allowed: {allowed}{did_you_mean(near)}", shown(value), allowed, near)


def _allowed(kind: str, context: Mapping[str, Any], value: Any) -> tuple[str | None, str | None]:
    """What is allowed, in words, and the nearest valid word."""
    if kind in _TYPES:
        return _TYPES[kind], None
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{words} {context[bound]:g}" if context[bound] < 1e6 else f"{words} {context[bound]}", None
    if kind == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        return " or ".join(choices), nearest(value, choices) if isinstance(value, str) else None
    if kind == "too_long":
        return f"at most {context['max_length']} entries", None
    return None, None


def _unknown_key(path: Path, owner: type[BaseModel] | None) -> Fault:
    key, known = str(path[-1])[:128], list(owner.model_fields) if owner is not None else []
    near = nearest(key, known)
    rest = "" if near is not None else f"; allowed: {listed(known)}"
    return Fault(path, f"unknown key {shown(key)}{did_you_mean(near)}{rest}", key, listed(known), near)


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that a path leads to, if it leads to one."""
    annotation: Any = model
    for key in path:
        owner = next(_models(annotation), None)
        if owner is not None:
            field = owner.model_fields.get(str(key))
            if field is None:
                return None
            annotation = field.annotation
        else:
            annotation = next(_values(annotation), None)
    return next(_models(annotation), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The model that an annotation is, past what it is wrapped in; none of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for arm in get_args(annotation):
            yield from _models(arm)


def _values(annotation: Any) -> Iterator[Any]:
    """What the values of a mapping are."""
    if get_origin(annotation) is dict:
        yield get_args(annotation)[1]
    elif get_origin(annotation) is Annotated:
        yield from _values(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for arm in get_args(annotation):
            yield from _values(arm)
