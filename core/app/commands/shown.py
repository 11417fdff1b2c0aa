"""How instances, and the causes that hold them up, are written in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ....claim.wire import Cause, Explanation, InstanceView, StepView
from .remote import printed


def show_instance(view: InstanceView, as_json: bool) -> None:
    """The instance, and a line for each of its steps. A run path is written whole, so that it can be copied."""
    if as_json:
        typer.echo(printed(view))
        return
    console = Console()
    console.print(
        f"{view.instance_id}  {view.workflow} version {view.version}  [bold]{view.status}[/bold]", highlight=False
    )
    if view.error is not None:
        console.print(f"{view.error.type}: {view.error.message}", markup=False, highlight=False)
    table = Table(Column("step", overflow="fold"), "status", "attempt", "executor", "started", "what")
    for step in view.steps:
        started = "" if step.started_at_ms is None else written(step.started_at_ms)
        what = escape(_what(step))
        table.add_row(escape(step.run_path), step.status, str(step.attempt or ""), step.executor, started, what)
    console.print(table)


def tell_causes(explanation: Explanation, margin: str = "") -> None:
    """Each cause with what to do about it. Steps that one sentence is true of, as the items of a foreach, share it."""
    if not explanation.causes:
        typer.echo(f"{margin}{explanation.summary}")
    for cause, others in _alike(explanation.causes):
        place = f"{cause.step}: " if cause.step else ""
        if others:
            place = f"{cause.step} and {others} more: "
        typer.echo(f"{margin}{place}{cause.text}")
        typer.echo(f"{margin}  -> {cause.advice}")
        for child in cause.children:
            typer.echo(f"{margin}  {child.instance_id}  {child.workflow}  {child.status}")
            tell_causes(child, margin + "    ")


def written(at_ms: int) -> str:
    """A time, in UTC and to the second."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def one_line(text: str) -> str:
    """Messages and reasons are other people's words: no line of theirs may look like one of a list's."""
    return "".join(one if one.isprintable() else " " for one in text)


def _alike(causes: Iterable[Cause]) -> list[tuple[Cause, int]]:
    """The first of those that say the same, and how many more do."""
    first: dict[object, tuple[Cause, int]] = {}
    for cause in causes:
        alone = not cause.step or cause.children
        same = id(cause) if alone else (cause.cause, cause.text, cause.advice)
        one, others = first.get(same, (cause, -1))
        first[same] = one, others + 1
    return list(first.values())


def _what(step: StepView) -> str:
    if step.approval is not None and step.approval.decision == "pending":
        return "waits for approval"
    if step.signal is not None:
        return f"waits for the signal {step.signal}"
    if step.parts is not None:
        return f"{step.parts.ended} of {step.parts.total} items ended, {step.parts.failed} failed"
    return f"{step.error.type}: {step.error.message}" if step.error else step.message or ""
