"""What the demonstration shows: colours, tables and rendered Markdown on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from ....claim.wire import StepView


class Screen:
    """Standard output. Nothing that is shown is read as markup but what this module adds itself."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def say(self, text: str = "", *, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=True)

    @contextmanager
    def busy(self, words: str, done: str = "") -> Iterator[None]:
        """Show on a terminal that something takes a while; then say `done`."""
        with self._console.status(words):
            yield
        if done:
            self.say(done)

    def step_ended(self, step: StepView) -> None:
        spent = ""
        if step.started_at_ms is not None and step.finished_at_ms is not None and step.attempt:
            spent = f"{step.finished_at_ms - step.started_at_ms} ms"
        why = f"  {step.error.type}: {step.error.message}" if step.error else ""
        style = {"succeeded": "green", "failed": "red"}.get(step.status, "yellow")
        self.say(f"  {step.status:<10} {step.name:<16} {step.executor:<9} {spent}{why}".rstrip(), style=style)

    def report(self, markdown: str) -> None:
        self.say()
        if self._console.is_terminal:
            self._console.print(Markdown(markdown))
        else:
            self.say(markdown.strip())
        self.say()

    def attempts(self, rows: Sequence[dict[str, Any]]) -> None:
        """The rows of `workflow-steps`."""
        header = ("step", "attempt", "capability", "outcome", "duration", "queued", "worker")
        cells = [_cells(row) for row in rows]
        if self._console.is_terminal:
            table = Table(*header)
            for row in cells:
                table.add_row(*row)
            self._console.print(table)
            return
        widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
        for line in (header, *cells):
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.say("  " + "  ".join(padded).rstrip())


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    step = row["step"]
    return (
        step["name"],
        str(step["attempt"]),
        step["capability"],
        step["outcome"],
        f"{step.get('duration_ms', 0)} ms",
        f"{step.get('queue_ms', 0)} ms",
        row.get("worker", ""),
    )
