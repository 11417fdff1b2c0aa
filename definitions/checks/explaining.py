"""From pydantic's errors to violations that an author understands: path, place, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from ..errors import Violation
from ..fields import PATTERN_WORDS
from ..source.nodes import Node
from ..steps import EXECUTOR_MISSING, KINDS, STEP_MODELS, TAG, CommonStep, ExecutorStep
from ..templates import path_text
from ..words import did_you_mean, listed, nearest, shown
from .later import DEFINITION_KEYS, not_yet

Path = tuple[str | int, ...]

EXPLAINED_MAX = 1_000

_TYPES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def violations_of(error: ValidationError, model: type[BaseModel], root: Node) -> list[Violation]:
    """Each of pydantic's errors as a violation, at its place in the YAML; of very many, the first ones."""
    return [_violation(details, model, root) for details in error.errors(include_url=False)[:EXPLAINED_MAX]]


def _violation(details: ErrorDetails, model: type[BaseModel], root: Node) -> Violation:
    path, context = tuple(key for key in details["loc"] if not _is_tag(key)), details.get("ctx", {})
    kind = details["type"]
    if kind == "refused" and context.get("key"):
        return _at_key((*path, context["key"]), root, context["message"], found=context["found"])
    if kind == "refused":
        return _at_value(path, root, context["message"], context["found"], context["allowed"])
    if kind == "extra_forbidden":
        return _unknown_key(path, _model_at(model, details["loc"][:-1]), model, root)
    if kind == "missing":
        node = root.at(path[:-1])
        message = EXECUTOR_MISSING if path[-1] == "executor" else f"`{path[-1]}` is missing"
        return Violation(path_text(path), message, node.line, node.column, allowed="a value")
    if path and path[-1] == "[key]":
        return _bad_key(path[:-1], root, context)
    return _bad_value(path, root, details, context)


def _bad_value(path: Path, root: Node, details: ErrorDetails, context: Mapping[str, Any]) -> Violation:
    found = _shown(details["input"])
    allowed, near = _allowed(details["type"], context, details["input"])
    if allowed is None:
        return _at_value(path, root, f"found {found}; {details['msg']}", found, None)
    message = f"found {found}; allowed: {allowed}{did_you_mean(near)}"
    return _at_value(path, root, message, found, allowed, near)


def _shown(value: Any) -> str:
    return f"{shown(value)} without entries" if isinstance(value, list | dict) and not value else shown(value)


def _allowed(kind: str, context: Mapping[str, Any], value: Any) -> tuple[str | None, str | None]:
    """What is allowed, in words, and the nearest valid word."""
    if kind in _TYPES:
        return _TYPES[kind], None
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{words} {context[bound]:g}", None
    if kind == "literal_error":
        choices = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        return listed(choices), nearest(value, choices) if isinstance(value, str) else None
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return PATTERN_WORDS.get(pattern, pattern), _slug(value, pattern)
    if kind in ("too_short", "string_too_short"):
        return f"at least {context['min_length']} {_counted(kind, context['min_length'])}", None
    if kind in ("too_long", "string_too_long"):
        return f"at most {context['max_length']} {_counted(kind, context['max_length'])}", None
    return None, None


def _slug(value: Any, pattern: str) -> str | None:
    """The name that somebody meant who wrote capitals, spaces or underscores."""
    slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-") if isinstance(value, str) else ""
    return slug if re.search(pattern, slug) else None


def _counted(kind: str, number: int) -> str:
    noun = "character" if kind.startswith("string") else "entry"
    return noun if number == 1 else {"character": "characters", "entry": "entries"}[noun]


def _is_tag(key: str | int) -> bool:
    """Whether it names the arm of a union, and no key of the author's."""
    return isinstance(key, str) and key.startswith(TAG)


def _unknown_key(path: Path, owner: type[BaseModel] | None, model: type[BaseModel], root: Node) -> Violation:
    key = str(path[-1])
    known = _keys_of(owner)
    if owner is model and key in DEFINITION_KEYS:
        return _at_key(path, root, not_yet(key), found=key)
    near = nearest(key, known)
    if owner is not None and issubclass(owner, CommonStep):
        return _at_key(path, root, _not_of_step(key, owner, known, near), key[:100], listed(known), near)
    message = f"unknown key `{key[:100]}`{did_you_mean(near)}"
    if near is None:
        message += f"; allowed: {listed(known)}"
    return _at_key(path, root, message, key[:100], listed(known), near)


def _not_of_step(key: str, owner: type[CommonStep], known: list[str], near: str | None) -> str:
    """Why a step of this kind has no such key: another kind has it, or none."""
    kind = owner.KIND
    owners = [other for other, other_model in STEP_MODELS.items() if key in _keys_of(other_model)]
    if owners:
        rest = f"; steps with `{kind}` have {listed(known)}"
        return f"`{key}` belongs to steps with {_either(owners)}, and this one has `{kind}`{rest}"
    message = f"unknown key `{key[:100]}`{did_you_mean(near)}"
    if near is None:
        other = nearest(key, KINDS)
        if other is not None:
            return f"{message}{did_you_mean(other)} a step is of one kind, and this one has `{kind}`"
        message += f"; allowed: {listed(known)}"
    if owner is ExecutorStep:
        message += f"{'' if message.endswith('?') else ';'} keys for the executor go under `with:`"
    return message


def _either(kinds: list[str]) -> str:
    words = [f"`{kind}`" for kind in kinds]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _keys_of(owner: type[BaseModel] | None) -> list[str]:
    """The keys of a model, the one that makes a step of its kind right behind the name."""
    keys = [field.alias or name for name, field in owner.model_fields.items()] if owner else []
    return (
        sorted(keys, key=lambda key: 0 if key == "name" else 1 if key in KINDS else 2) if keys[:1] == ["name"] else keys
    )


def _bad_key(path: Path, root: Node, context: Mapping[str, Any]) -> Violation:
    allowed = PATTERN_WORDS.get(str(context.get("pattern")), "at least 1 and at most 128 characters")
    found = str(path[-1])[:60]
    return _at_key(path, root, f"found the name `{found}`; allowed: {allowed}", found, allowed)


def _at_key(
    path: Path,
    root: Node,
    message: str,
    found: str | None = None,
    allowed: str | None = None,
    near: str | None = None,
) -> Violation:
    line, column = root.key_place(path)
    return Violation(path_text(path), message, line, column, found, allowed, near)


def _at_value(
    path: Path, root: Node, message: str, found: str | None, allowed: str | None, near: str | None = None
) -> Violation:
    node = root.at(path)
    return Violation(path_text(path), message, node.line, node.column, found, allowed, near)


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that a path leads to, if it leads to one."""
    annotation: Any = model
    for key in path:
        if _is_tag(key):
            annotation = _arm(annotation, str(key))
            continue
        found = _inner(annotation)
        if isinstance(found, type) and issubclass(found, BaseModel):
            fields = {field.alias or name: field for name, field in found.model_fields.items()}
            if key not in fields:
                return None
            annotation = fields[str(key)].annotation
        else:
            arguments = get_args(found)
            annotation = arguments[-1] if arguments else Any
    found = _inner(annotation)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _arm(annotation: Any, tag: str) -> Any:
    """The arm of a union that has this tag; Any where none has."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return inner if Tag(tag) in metadata else _arm(inner, tag)
    if get_origin(annotation) in (Union, UnionType):
        return next((arm for arm in (_arm(arm, tag) for arm in get_args(annotation)) if arm is not Any), Any)
    return Any


def _inner(annotation: Any) -> Any:
    """The annotation without metadata and without None."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            annotation = next(arm for arm in get_args(annotation) if arm is not type(None))
        else:
            return annotation
