"""`SyncClaimClient`: `ClaimClient` for code without an event loop.

The same methods with the same arguments, each waiting for its coroutine, which runs in one thread with a loop of its
own. Any thread may call. Interrupting a call (Ctrl-C) cancels its coroutine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from .client import DEFAULT_SERVER, ClaimClient

P = ParamSpec("P")
R = TypeVar("R")


def _waiting(
    method: Callable[Concatenate[ClaimClient, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[SyncClaimClient, P], R]:
    @wraps(method)
    def call(self: SyncClaimClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait_for(method(self._client, *args, **kwargs))

    return call


class SyncClaimClient:
    """A context manager; the constructor's arguments are `ClaimClient`'s."""

    def __init__(self, servers: str | Sequence[str] = DEFAULT_SERVER, **options: Any) -> None:
        self._client = ClaimClient(servers, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="leasehold client", daemon=True)
        self._thread.start()
        self._wait_for(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            self._wait_for(self._client.__aexit__(kind, error, trace))
            self._wait_for(_cancel_others())
        finally:
            self._loop = self._thread = None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _wait_for(self, coroutine: Coroutine[Any, Any, R]) -> R:
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("the client is not open; use it as `with SyncClaimClient(...) as client:`")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    claim = _waiting(ClaimClient.claim)
    complete = _waiting(ClaimClient.complete)
    fail = _waiting(ClaimClient.fail)
    heartbeat = _waiting(ClaimClient.heartbeat)
    release = _waiting(ClaimClient.release)
    report = _waiting(ClaimClient.report)
    start = _waiting(ClaimClient.start)
    start_many = _waiting(ClaimClient.start_many)
    instance = _waiting(ClaimClient.instance)
    wait_for = _waiting(ClaimClient.wait_for)
    approve = _waiting(ClaimClient.approve)
    reject = _waiting(ClaimClient.reject)
    cancel = _waiting(ClaimClient.cancel)
    terminate = _waiting(ClaimClient.terminate)
    signal = _waiting(ClaimClient.signal)
    pause = _waiting(ClaimClient.pause)
    resume = _waiting(ClaimClient.resume)
    skip = _waiting(ClaimClient.skip)
    retry = _waiting(ClaimClient.retry)
    put_definition = _waiting(ClaimClient.put_definition)


async def _cancel_others() -> None:
    """End what other threads are still waiting for."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)
