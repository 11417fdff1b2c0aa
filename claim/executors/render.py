"""`render`: a text from a Jinja2 template.

Payload:

- `template`: Jinja2. In a definition, keep it from being rendered there already: `{% raw %}...{% endraw %}`
- `values`: what the template sees, by name

Result: `{"text"}`. A name that does not exist is an error; lines that hold a block tag alone leave no empty line.

Templates run in Jinja2's sandbox, in child processes that may use a bounded time and memory each and are replaced when
they exceed it. So neither a template that never ends nor one that grows without end does harm to the worker.
Error types: `payload.invalid`, `render.template` (with the line), `render.too_large`, `render.limit`, `render.failed`.
Needs the extra `executors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Struct

from ..errors import ExtraMissing, StepFailed
from ..running.context import StepContext
from .payloads import payload_as

CAPABILITY = "render"

_CHILD = Path(__file__).with_name("rendering.py")
_START_WITHIN_S = 30.0
# The child ends itself when its processor time is spent; this is for one that waits instead.
_ANSWER_SPARE_S = 5.0


class Payload(Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    template: str
    values: dict[str, Any] = {}


class RenderLimits(Struct, frozen=True):
    """Of one rendering: `processor_s` of processor time, `memory_bytes` of address space (where the system bounds
    that), `result_max_bytes` of text. `processes` render at a time."""

    result_max_bytes: int
    processor_s: int = 5
    memory_bytes: int = 512 * 1024 * 1024
    processes: int = max(1, min(4, os.cpu_count() or 1))


class _Gone(Exception):
    """The child has ended instead of answering."""


class _Child:
    """One process that renders, one template after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, limits: RenderLimits) -> Self:
        numbers = (limits.processor_s, limits.memory_bytes, limits.result_max_bytes)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # its own folder holds names of the standard library
            str(_CHILD),
            *map(str, numbers),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the worker, which lets its steps finish
        )
        child = cls(process)
        async with asyncio.timeout(_START_WITHIN_S):
            await child._line()
        return child

    async def render(self, payload: Payload, within_s: float) -> Any:
        """Raises: _Gone; TimeoutError."""
        assert self._process.stdin is not None
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(msgspec.json.encode(payload) + b"\n")
                await self._process.stdin.drain()
            return msgspec.json.decode(await self._line())

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        size = await self._process.stdout.read(8)
        if len(size) < 8:
            raise _Gone
        try:
            return await self._process.stdout.readexactly(int.from_bytes(size))
        except asyncio.IncompleteReadError:
            raise _Gone from None

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Render:
    """Renders in child processes, which are started when they are needed; an async context manager, ends them."""

    def __init__(self, limits: RenderLimits) -> None:
        if importlib.util.find_spec("jinja2") is None:
            raise ExtraMissing("the executor render needs jinja2; run pip install 'leasehold[executors]'")
        self._limits = limits
        self._idle: list[_Child] = []
        self._slots = asyncio.Semaphore(limits.processes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            await self._idle.pop().end()

    async def __call__(self, context: StepContext) -> dict[str, str]:
        payload = payload_as(context.payload, Payload)
        async with self._slots:
            answer = await self._rendered(payload)
        if "text" in answer:
            return {"text": answer["text"]}
        raise StepFailed(answer["type"], answer["message"], retryable=False)

    async def _rendered(self, payload: Payload) -> Any:
        limits = self._limits
        child = self._idle.pop() if self._idle else await self._new_child()
        try:
            answer = await child.render(payload, limits.processor_s + _ANSWER_SPARE_S)
        except (_Gone, TimeoutError) as error:
            await child.end()
            message = (
                f"the template used more than {limits.processor_s} s or {limits.memory_bytes >> 20} MiB and was stopped"
            )
            raise StepFailed("render.limit", message, retryable=False) from error
        except BaseException:
            await child.end()
            raise
        self._idle.append(child)
        return answer

    async def _new_child(self) -> _Child:
        try:
            return await _Child.start(self._limits)
        except (_Gone, TimeoutError, OSError) as error:
            raise StepFailed("render.failed", f"the process that renders could not be started: {error}") from error
