"""The command line: `python -m leasehold.bench SCENARIO`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console

from ..core.app.configuration import load_settings
from ..core.errors import LeaseholdError
from ..core.settings import Settings
from ..ilm import IlmError
from .circumstances import Usage, commit, machine, versions
from .errors import BenchError
from .ground import open_cluster
from .report import Report, as_json
from .scenario import Options, Run, Scenario, sayer
from .scenarios import SCENARIOS
from .tables import print_report

T = TypeVar("T")

# Of the 50 s that a quick run may last, what is left for the way out.
_QUICK_S = 45.0
_SECRETS = ("api_key", "password")

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def bench(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help=f"One of: {', '.join(SCENARIOS)}.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, and nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller, within 50 s.")] = False,
    rate: Annotated[list[float] | None, typer.Option(min=0.1, help="Starts per second; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the arrival times.")] = 1,
) -> None:
    """Measure one scenario on an embedded Elasticsearch, or on the one that LEASEHOLD_ES_URL names.

    The exit code is 0 whenever it ran, also when a target is missed.
    """
    chosen = SCENARIOS.get(scenario)
    if chosen is None:
        raise typer.BadParameter(f"there is no scenario {scenario!r}; allowed: {', '.join(SCENARIOS)}")
    options = Options(quick=quick, seed=seed, rates=tuple(rate or ()))
    try:
        report = asyncio.run(_interruptible(measure(chosen, options)))
    except (BenchError, LeaseholdError, IlmError) as error:
        sys.stderr.write(f"bench: {error}\n")
        raise typer.Exit(1) from None
    except (asyncio.CancelledError, KeyboardInterrupt) as ended:
        sys.stderr.write("bench: ended by a signal; all that it started has ended\n")
        raise typer.Exit(130 if isinstance(ended, KeyboardInterrupt) else 143) from None
    if json:
        sys.stdout.buffer.write(as_json(report))
        sys.stdout.flush()
    else:
        print_report(report, Console())


async def measure(scenario: Scenario, options: Options) -> Report:
    """Run a scenario on a cluster. Raises: BenchError; LeaseholdError; IlmError."""
    settings = load_settings(environment=os.environ)
    say = sayer(lambda line: print(line, file=sys.stderr, flush=True))
    started_at, began_s = datetime.now(UTC), monotonic()
    until_s = began_s + _QUICK_S if options.quick else inf
    own = settings.store.urls != Settings().store.urls or "LEASEHOLD_ES_URL" in os.environ
    usage = Usage()
    async with open_cluster(settings.store, own=own) as ground:
        say(f"Elasticsearch {ground.version} at {ground.settings.urls[0]}")
        elasticsearch_before_s = await ground.cpu_s()
        outcome = await scenario.run(Run(options, ground, settings, say, until_s))
        elasticsearch_s = 0.0 if ground.embedded else await ground.cpu_s() - elasticsearch_before_s
    return Report(
        scenario=scenario.name,
        question=scenario.question,
        quick=options.quick,
        started_at=started_at.isoformat(timespec="seconds"),
        duration_s=round(monotonic() - began_s, 1),
        correct=not any(outcome.wrong.values()),
        wrong=outcome.wrong,
        targets=outcome.targets,
        figures=outcome.figures,
        settings={**outcome.settings, "elasticsearch": ground.described, "scheduler": _shown(settings)},
        commit=commit(),
        versions={**versions(), "elasticsearch_server": ground.version},
        machine={**machine(), **usage.since(elasticsearch_s)},
        seed=options.seed,
    )


def _shown(settings: Settings) -> dict[str, Any]:
    """The replica's settings without secrets; which addresses it had is no part of a figure."""
    tables: dict[str, dict[str, Any]] = msgspec.to_builtins(settings)
    return {
        table: {
            field: value for field, value in fields.items() if field not in (*_SECRETS, "urls", "username", "ca_certs")
        }
        for table, fields in tables.items()
    }


async def _interruptible(work: Awaitable[T]) -> T:
    """Await, ending in order on SIGTERM as on Ctrl-C: every context on the way out is left."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
