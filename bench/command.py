"""The command line: `python -m leasehold.bench SCENARIO`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console

from ..core.errors import LeaseholdError
from ..ilm import IlmError
from .errors import BenchError
from .measuring import measure, smoke
from .report import Report, as_json
from .results import keep
from .scenario import Options, Scenario
from .scenarios import SCENARIOS
from .tables import print_report

T = TypeVar("T")

ALL = "all"
SMOKE = "smoke"
# Where standard output is no terminal that says how wide it is.
_COLUMNS = 160

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def bench(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="SCENARIO",
            help=f"One of: {', '.join(SCENARIOS)}; {ALL} for each in turn; {SMOKE} for all at once, very small, "
            "to see whether anything goes wrong.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, and nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller, within 50 s a scenario.")] = False,
    rate: Annotated[list[float] | None, typer.Option(min=0.1, help="Starts per second; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the arrival times.")] = 1,
    results: Annotated[
        Path | None, typer.Option(help="A folder that gets each report as JSON, and its charts as SVG.")
    ] = None,
) -> None:
    """Measure on an embedded Elasticsearch, or on the one that LEASEHOLD_ES_URL names.

    The exit code is 0 whenever it ran, also when a target is missed. `smoke` ends with 1 when something is wrong.
    """
    if scenario == SMOKE:
        _smoke(seed, json=json)
        return
    options = Options(quick=quick, seed=seed, rates=tuple(rate or ()))
    failed = False
    for chosen in _chosen(scenario):
        report = _measured(chosen, options)
        failed = failed or report is None
        if report is None:
            continue
        if json:
            sys.stdout.buffer.write(as_json(report))
            sys.stdout.flush()
        else:
            print_report(report, _console())
        if results is not None:
            keep(report, results)
    if failed:
        raise typer.Exit(1)


def _chosen(name: str) -> list[Scenario]:
    if name == ALL:
        return list(SCENARIOS.values())
    if name in SCENARIOS:
        return [SCENARIOS[name]]
    raise typer.BadParameter(f"there is no scenario {name!r}; allowed: {', '.join((*SCENARIOS, ALL, SMOKE))}")


def _smoke(seed: int, *, json: bool) -> None:
    """All scenarios, small. Ends with exit code 1 if anything is wrong."""
    wrong = _run(smoke(SCENARIOS.values(), seed=seed))
    if wrong is None:
        raise typer.Exit(1)
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(wrong) + b"\n")
        sys.stdout.flush()
    for name, counts in wrong.items():
        found = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        if not json:
            print(f"{name}: {f'WRONG: {found}' if found else 'correct'}")
    if any(any(counts.values()) for counts in wrong.values()):
        raise typer.Exit(1)


def _measured(scenario: Scenario, options: Options) -> Report | None:
    return _run(measure(scenario, options))


def _run(work: Awaitable[T]) -> T | None:
    """What came of it; None when it could not be done, which is said. A signal ends the whole command."""
    try:
        return asyncio.run(_interruptible(work))
    except (BenchError, LeaseholdError, IlmError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return None
    except (asyncio.CancelledError, KeyboardInterrupt) as ended:
        sys.stderr.write("bench: ended by a signal; all that it started has ended\n")
        raise typer.Exit(130 if isinstance(ended, KeyboardInterrupt) else 143) from None


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_COLUMNS)


async def _interruptible(work: Awaitable[T]) -> T:
    """Await, ending in order on SIGTERM as on Ctrl-C: every context on the way out is left."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
