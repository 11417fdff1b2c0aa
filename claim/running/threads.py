"""Plain functions, each in a daemon thread of its own.

No pool: its threads would be joined when the interpreter exits, and a function that hangs would keep the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T], name: str) -> T:
    """What the function returns or raises. A cancelled caller goes; the thread ends when its function does."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]  # None is a T when there is no error

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = context.run(function)
        except StopIteration as error:
            failure = RuntimeError(f"the function raised {error!r}")  # a future can't carry that one
        except BaseException as error:  # noqa: BLE001  it is raised again where the caller waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await outcome
