"""Payloads of the built-in executors: typed, strict, and told plainly when they are wrong."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ..errors import StepFailed

P = TypeVar("P", bound=Struct)
T = TypeVar("T")

INVALID = "payload.invalid"

_UNKNOWN = re.compile(r"unknown field `(.*?)`", re.DOTALL)


def payload_as(payload: Any, kind: type[P]) -> P:
    """The payload as one of `kind`; a missing one counts as `{}`. Raises: StepFailed (`payload.invalid`, for good)."""
    try:
        return msgspec.convert({} if payload is None else payload, kind)
    except msgspec.ValidationError as error:
        raise invalid(_explained(str(error), kind)) from None


def invalid(message: str) -> StepFailed:
    """What is wrong with a payload; the same one would fail again."""
    return StepFailed(INVALID, message, retryable=False)


def checked_size(result: T, max_bytes: int, error_type: str, way_out: str) -> T:
    """The result, if it is not too large. Raises: StepFailed, for good, before the server would refuse it."""
    size_bytes = len(msgspec.json.encode(result))
    if size_bytes > max_bytes:
        message = f"the result has {size_bytes} bytes; at most {max_bytes} are allowed: {way_out}"
        raise StepFailed(error_type, message, retryable=False)
    return result


def _explained(message: str, kind: type[Struct]) -> str:
    unknown = _UNKNOWN.search(message)
    if unknown is None:
        return f"the payload does not fit: {message[:1].lower()}{message[1:]}".replace("`", "")
    known = sorted(kind.__struct_encode_fields__)
    nearest = difflib.get_close_matches(unknown[1], known, n=1)
    meant = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"the payload has no field {unknown[1]!r}; allowed: {', '.join(known)}{meant}"
