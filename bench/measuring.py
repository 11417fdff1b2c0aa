"""Runs scenarios on a cluster, and makes reports of what they find."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Any

import msgspec

from ..core.app.configuration import load_settings
from ..core.settings import Settings
from .circumstances import Usage, commit, machine, versions
from .ground import Cluster, open_cluster
from .ground.installations import installation
from .report import Outcome, Report
from .scenario import Options, Run, Scenario, sayer

# Of the 50 s that a quick run may last, what is left for the way out.
_QUICK_S = 45.0
_SECRETS = ("api_key", "password")
# In a smoke run scenarios wait more than they work.
_SMOKES_AT_ONCE = 4


async def measure(scenario: Scenario, options: Options) -> Report:
    """Run a scenario on a cluster of its own, if it needs one. Raises: BenchError; LeaseholdError; IlmError."""
    settings = load_settings(environment=os.environ)
    say = sayer(lambda line: print(line, file=sys.stderr, flush=True))
    started_at, began_s = datetime.now(UTC), monotonic()
    until_s = began_s + _QUICK_S if options.quick else inf
    usage = Usage()
    server: dict[str, str] = {}
    described: dict[str, Any] = {}
    elasticsearch_s = 0.0
    if scenario.alone:
        outcome = await scenario.run(Run(options, None, settings, say, until_s))
    else:
        async with _cluster(settings) as ground:
            say(f"Elasticsearch {ground.version} at {ground.settings.urls[0]}")
            server["elasticsearch_server"] = ground.version
            described["elasticsearch"] = ground.described
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
        settings={**outcome.settings, **described, "scheduler": _shown(settings)},
        commit=commit(),
        versions={**versions(), **server},
        machine={**machine(), **usage.since(elasticsearch_s)},
        seed=options.seed,
    )


async def smoke(scenarios: Iterable[Scenario], *, seed: int) -> dict[str, dict[str, int]]:
    """Run scenarios small, several at once on one cluster; what went wrong, by scenario.

    They get in each other's way, which speeds nothing but finds more: nothing is measured here.
    Raises: BenchError; LeaseholdError; IlmError.
    """
    settings = load_settings(environment=os.environ)
    say = sayer(lambda line: print(line, file=sys.stderr, flush=True))
    turns = asyncio.Semaphore(_SMOKES_AT_ONCE)
    async with _cluster(settings) as ground:
        say(f"Elasticsearch {ground.version} at {ground.settings.urls[0]}")

        async def one(scenario: Scenario) -> Outcome:
            async with turns, installation(ground, scenario.name) as cluster:
                options = Options(quick=True, smoke=True, seed=seed)
                heard = sayer(lambda line: print(f"{scenario.name:>12}: {line}", file=sys.stderr, flush=True))
                outcome = await scenario.run(Run(options, cluster, settings, heard))
            say(f"{scenario.name}: {'correct' if not any(outcome.wrong.values()) else 'WRONG'}")
            return outcome

        chosen = list(scenarios)
        tasks: list[asyncio.Task[Outcome]] = []
        try:
            async with asyncio.TaskGroup() as group:
                # The longest stand last, and begin first.
                for scenario in reversed(chosen):
                    tasks.insert(0, group.create_task(one(scenario)))
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from group_error
    return {scenario.name: task.result().wrong for scenario, task in zip(chosen, tasks, strict=True)}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first: the others were cancelled for it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _cluster(settings: Settings) -> AbstractAsyncContextManager[Cluster]:
    own = settings.store.urls != Settings().store.urls or "LEASEHOLD_ES_URL" in os.environ
    return open_cluster(settings.store, own=own)


def _shown(settings: Settings) -> dict[str, Any]:
    """The replica's settings without secrets; which addresses it had is no part of a figure."""
    tables: dict[str, dict[str, Any]] = msgspec.to_builtins(settings)
    return {
        table: {
            field: value for field, value in fields.items() if field not in (*_SECRETS, "urls", "username", "ca_certs")
        }
        for table, fields in tables.items()
    }
