"""Storing, reading and retiring definitions."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ....principal import Principal
from ...problems import refuse
from ..bodies import JSON_TYPES, YAML_TYPES, check_depth, not_json
from ..parameters import NoParameters
from ..surface import YAML, Reply, Surface

Name = Annotated[str, Meta(min_length=1, max_length=1024, description="The workflow's name.", examples=["hello"])]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Default: the active version.")]


class DefinitionParameters(Struct, frozen=True):
    name: Name


class PutParameters(Struct, frozen=True):
    name: Name
    activate: Annotated[bool, Meta(description="Whether starts get this version from now on.")] = True


class DefinitionVersionParameters(Struct, frozen=True):
    name: Name
    version: Version | UnsetType = UNSET
    accept: Annotated[str, Meta(extra_json_schema={"x-header": "Accept", "x-hidden": True})] | UnsetType = UNSET


async def put(surface: Surface, principal: Principal, parameters: PutParameters, body: bytes) -> Reply:
    """Store a version and, unless told not to, make it the active one."""
    stored = await surface.replica.put_definition(principal, parameters.name, body, activate=parameters.activate)
    return Reply(201 if stored.created else 200, stored)


async def get(surface: Surface, principal: Principal, parameters: DefinitionVersionParameters, body: None) -> Reply:
    """The definition with what is known about it, or its YAML alone where that is asked for."""
    version = None if parameters.version is UNSET else parameters.version
    view = await surface.replica.get_definition(principal, parameters.name, version)
    if parameters.accept is not UNSET and wants_yaml(parameters.accept):
        return Reply(200, view.source.encode(), YAML)
    return Reply(200, view)


async def list_all(surface: Surface, principal: Principal, parameters: NoParameters, body: None) -> Reply:
    return Reply(200, await surface.replica.list_definitions(principal))


async def delete(surface: Surface, principal: Principal, parameters: DefinitionParameters, body: None) -> Reply:
    await surface.replica.delete_definition(principal, parameters.name)
    return Reply(204)


def wants_yaml(accept: str) -> bool:
    """Whether an `Accept` header names YAML before JSON and before everything."""
    for part in accept.lower().split(","):
        name = part.partition(";")[0].strip()
        if name in YAML_TYPES:
            return True
        if name in (*JSON_TYPES, "*/*", "application/*"):
            return False
    return False


def source_of(media_type: str | None, raw: bytes) -> bytes:
    """A definition, or a tenant's document, as YAML text.

    JSON is nearly YAML: only tabs and the escapes of surrogate pairs differ, so such a text is written anew.
    Raises: RequestProblem (400) when the body is empty, or said to be JSON and is not.
    """
    if not raw.strip():
        raise refuse("invalid-request", "the body is empty; YAML or JSON is needed")
    check_depth(raw)
    if media_type not in JSON_TYPES:
        return raw
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(raw, error) from None
    if not isinstance(value, dict):
        raise refuse("invalid-request", "the body is not a JSON object; what this operation takes is one")
    if b"\\u" in raw or b"\t" in raw:
        return msgspec.json.format(msgspec.json.encode(value), indent=2)
    return raw
