"""Progress bars on standard error, on a terminal only; and the point where a start can be given up from outside."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Abandoned

Advance = Callable[[int], None]


class Progress:
    """Shows how far a long operation is. `shown=None`: only if standard error is a terminal.

    Every step of the operation reports here, so `abandon` ends the operation at its next step with `Abandoned`.
    """

    def __init__(self, shown: bool | None = None) -> None:
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._abandoned = threading.Event()

    def abandon(self) -> None:
        """Make the operation end at its next step. Callable from any thread."""
        self._abandoned.set()

    def renew(self) -> None:
        """Forget an earlier `abandon`."""
        self._abandoned.clear()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Abandoned as soon as the operation is given up."""
        self._abandoned.wait(seconds)
        self._go_on()

    @contextmanager
    def steps(self, words: str, total_bytes: int | None = None) -> Iterator[Advance]:
        """Yield a function that takes how many bytes are done more. Without a total the bar only shows life."""
        if not self._shown:
            yield self._only_check
            return
        with _bar(words, total_bytes) as advance:

            def step(done_bytes: int) -> None:
                self._go_on()
                advance(done_bytes)

            yield step

    def _only_check(self, done_bytes: int) -> None:
        self._go_on()

    def _go_on(self) -> None:
        if self._abandoned.is_set():
            raise Abandoned("the start of Elasticsearch was given up")


@contextmanager
def _bar(words: str, total_bytes: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    columns.append(TimeElapsedColumn() if total_bytes is None else DownloadColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(words, total=total_bytes)
        yield lambda done_bytes: bars.advance(bar, done_bytes)
