"""`python`: a call of a Python function that the worker's command line allows.

Payload:

- `callable`: `module:function`, one of those given with `--python`
- `args` (a list), `kwargs` (an object): its arguments

Result: what the function returns. A coroutine function is awaited, a plain one runs in a thread.
Error types: `payload.invalid`, `python.not_allowed`, and what the function raises: `python.ValueError`, or what a
`StepFailed` of its own says.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from ..errors import ClaimError, StepFailed
from ..running.context import StepContext
from ..running.threads import in_thread
from .payloads import payload_as

CAPABILITY = "python"


class Payload(Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    callable: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Python:
    """Calls allowed functions only; they are imported when it is made. Raises: ClaimError for what is not there."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._functions = {name: imported(name) for name in allowed}

    async def __call__(self, context: StepContext) -> Any:
        payload = payload_as(context.payload, Payload)
        function = self._functions.get(payload.callable)
        if function is None:
            allowed = ", ".join(self._functions) or "none"
            message = f"{payload.callable!r} is not allowed here; allowed: {allowed} (--python of leasehold worker)"
            raise StepFailed("python.not_allowed", message, retryable=False)
        call = partial(function, *payload.args, **payload.kwargs)
        if inspect.iscoroutinefunction(function):
            return await call()
        return await in_thread(call, f"python {payload.callable}")


def imported(name: str) -> Callable[..., Any]:
    """What `module:function` names. Raises: ClaimError."""
    module_name, separator, path = name.partition(":")
    if not separator or not module_name or not path:
        raise ClaimError(f"--python is {name!r}; write module:function, such as math:sqrt")
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ClaimError(f"--python {name} can't be imported: {error}") from error
    if not callable(found):
        raise ClaimError(f"--python {name} is no function")
    return found  # type: ignore[no-any-return]  # it is callable, which is all that can be checked
