"""A route, made ready for its requests: its readers are built once."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ...settings import LimitSettings
from ..http1 import Request
from .bodies import JSON_TYPES, YAML_TYPES, BodyReader, media_type, read_body
from .operations.on_definitions import source_of
from .parameters import ParameterReader
from .routes import Operation, Route, Size

# A body is one payload and its frame (usage, calls with inputs and outputs of their own), or many of them.
_PAYLOADS_IN_ONE = 4
_PAYLOADS_IN_MANY = 64
_FRAME_BYTES = 65_536

# How paths begin, and what their first parameter is called in logs.
_SUBJECTS = (
    ("/_workflows/_steps/{id}", "step_id"),
    ("/_workflows/_instances/{id}", "instance_id"),
    ("/_workflows/_lanes/{lane}", "lane"),
    ("/_workflows/_tenants/{id}", "tenant"),
    ("/_workflows/_tenants/{", "tenant"),
    ("/_workflows/_ilm/{family}", "policy"),
    ("/_workflows/{name}", "workflow"),
)


def body_limit_bytes(size: Size, limits: LimitSettings) -> int:
    """How large a whole body may be. The replica holds each payload in it to `payload_max_bytes`."""
    if size in ("definition", "tenant", "policy"):
        return limits.payload_max_bytes
    payloads = _PAYLOADS_IN_MANY if size == "many" else _PAYLOADS_IN_ONE
    return payloads * limits.payload_max_bytes + _FRAME_BYTES


class Endpoint:
    """A route, made ready for its requests."""

    def __init__(self, route: Route, limits: LimitSettings) -> None:
        self.method = route.method
        self.path = route.path
        self.label = f"{route.method} {route.path}"
        self.operation: Operation = route.operation
        self.parameters = ParameterReader(route.parameters, route.path)
        self.body: BodyReader[Struct] | None = BodyReader(route.body) if route.body is not None else None
        self.body_required = route.body_required
        self.definition = route.size in ("definition", "tenant", "policy")
        self.limit_bytes = body_limit_bytes(route.size, limits)
        self.open = route.open
        self.operators = route.operators
        self.name = route.name
        self._subject = next((name for begin, name in _SUBJECTS if route.path.startswith(begin)), None)

    def subject(self, values: list[str]) -> dict[str, str]:
        """What a request is about, as logs name it."""
        return {self._subject: values[0]} if self._subject is not None and values else {}

    def target(self, values: list[str]) -> tuple[str, str]:
        """What a request is about, as the audit trail names it: a kind, and an id of that kind."""
        subject = self.subject(values)
        return next(((name.removesuffix("_id"), id) for name, id in subject.items()), ("operation", self.name))

    async def read(self, request: Request) -> Any:
        """The request's body in the form that the operation takes. Raises: RequestProblem; PayloadTooLarge."""
        if self.body is None and not self.definition:
            return None
        allowed = YAML_TYPES + JSON_TYPES if self.definition else JSON_TYPES
        kind = media_type(request, allowed) if request.has_body else None
        raw = await read_body(request, self.limit_bytes)
        if self.definition:
            return source_of(kind, raw)
        assert self.body is not None
        return self.body.decode(raw) if raw or self.body_required else None
