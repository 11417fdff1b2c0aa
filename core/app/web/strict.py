"""Strict twins of the wire structs: the server refuses a field that it does not know, the client ignores it.

A misspelt field of a request would be lost in silence, so requests are read strictly. An answer may come from a newer
server, so the same structs stay lenient for whoever reads answers. The twins are subclasses, hence no reader of a
request can tell them apart.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from ....claim.wire import Call, ErrorInfo, Usage

S = TypeVar("S", bound=Struct)

# What requests and answers share needs two names in one OpenAPI document.
_NAMES: dict[type[Struct], str] = {Usage: "UsageReport", Call: "CallReport", ErrorInfo: "ErrorReport"}


@cache
def strict(kind: type[S]) -> type[S]:
    """A subclass of `kind` that refuses unknown fields, at every depth."""
    hints = get_type_hints(kind, include_extras=True)
    fields: list[tuple[str, Any, Any]] = []
    for info in msgspec.structs.fields(kind):
        strict_hint = _strict_type(hints[info.name])
        if strict_hint is not hints[info.name]:
            fields.append((info.name, strict_hint, _default(info)))
    twin = msgspec.defstruct(
        _NAMES.get(kind, kind.__name__),
        fields,
        bases=(kind,),
        namespace={"__doc__": kind.__doc__},
        module=__name__,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
    return cast("type[S]", twin)


def _default(info: msgspec.structs.FieldInfo) -> Any:
    if info.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=info.default_factory, name=info.encode_name)
    return msgspec.field(default=info.default, name=info.encode_name)


def _strict_type(hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return strict(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if not arguments:
        return hint
    if origin is Annotated:
        inner = _strict_type(arguments[0])
        return hint if inner is arguments[0] else Annotated[(inner, *hint.__metadata__)]
    twins = tuple(_strict_type(argument) for argument in arguments)
    if all(twin is argument for twin, argument in zip(twins, arguments, strict=True)):
        return hint
    return Union[twins] if origin in (Union, types.UnionType) else origin[twins]  # noqa: UP007  made at run time
