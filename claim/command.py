"""`leasehold worker`: the built-in executors as a process. Needs typer, from the extra `executors`.

`worker` is the command, for whoever mounts it; `app` is a program that has only this one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Struct

from .client import DEFAULT_SERVER
from .errors import ClaimError, needs
from .executors import BUILT_IN, ExecutorOptions, built_in
from .executors.cluster import ClusterOptions
from .logs import configure_logs
from .worker import Worker

with needs("executors", "the command line"):
    import typer


class LogFormat(StrEnum):
    """How log lines look."""

    console = "console"
    json = "json"


class LogLevel(StrEnum):
    """The least that is logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class WorkerOptions(Struct, frozen=True):
    """What the command line and the environment say."""

    capabilities: list[str]
    servers: str
    concurrency: int
    lease: str
    drain_timeout: str
    executors: ExecutorOptions
    name: str | None = None
    tenant: str | None = None
    space: str | None = None
    token: str | None = None


def worker(
    capability: Annotated[
        list[str] | None,
        typer.Option(help=f"What to execute, separated by commas or given several times: {', '.join(BUILT_IN)}."),
    ] = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            envvar="LEASEHOLD_SERVER",
            help=f"Addresses of replicas, separated by commas or given several times. Default: {DEFAULT_SERVER}.",
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, envvar="LEASEHOLD_WORKER_CONCURRENCY", help="How many steps run at a time.")
    ] = 16,
    lease: Annotated[str, typer.Option(help="How long a lease lasts between heartbeats.")] = "30s",
    drain_timeout: Annotated[
        str, typer.Option(help="On SIGTERM or Ctrl-C, how long what runs may go on; the rest is given back.")
    ] = "30s",
    name: Annotated[str | None, typer.Option(help="The worker's name in views. Default: host:process.")] = None,
    tenant: Annotated[
        str | None, typer.Option(envvar="LEASEHOLD_TENANT", help="The tenant to act for (development mode).")
    ] = None,
    space: Annotated[
        str | None, typer.Option(envvar="LEASEHOLD_SPACE", help="The space to act in (development mode).")
    ] = None,
    elasticsearch: Annotated[
        str | None,
        typer.Option(
            envvar="LEASEHOLD_ES_URL",
            help="es-query, es-index: addresses of Elasticsearch, separated by commas. Default: http://127.0.0.1:9200.",
        ),
    ] = None,
    http_allow: Annotated[
        list[str] | None,
        typer.Option(help="http: a host that may be asked, such as *.example.com; several times. Default: any."),
    ] = None,
    python: Annotated[
        list[str] | None, typer.Option(help="python: a module:function that may be called; several times.")
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="LEASEHOLD_LOG_FORMAT", help="How log lines look.")
    ] = LogFormat.console,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="LEASEHOLD_LOG_LEVEL", help="The least that is logged.")
    ] = LogLevel.info,
) -> None:
    """Claim and execute steps with the built-in executors, until SIGTERM or Ctrl-C.

    Secrets come from the environment alone: LEASEHOLD_WORKER_TOKEN for the server; LEASEHOLD_ES_API_KEY, or
    LEASEHOLD_ES_USERNAME and LEASEHOLD_ES_PASSWORD, for Elasticsearch, and LEASEHOLD_ES_CA_CERTS names the certificates
    to trust.
    """
    options = WorkerOptions(
        capabilities=_parts(capability),
        servers=",".join(_parts(server)) or DEFAULT_SERVER,
        concurrency=concurrency,
        lease=lease,
        drain_timeout=drain_timeout,
        executors=ExecutorOptions(
            elasticsearch=_cluster(elasticsearch, os.environ),
            http_allow=tuple(_parts(http_allow)),
            python_allow=tuple(_parts(python)),
        ),
        name=name,
        tenant=tenant,
        space=space,
        token=os.environ.get("LEASEHOLD_WORKER_TOKEN") or None,
    )
    configure_logs(log_format.value, log_level.value)
    try:
        asyncio.run(_work(options))
    except (ClaimError, ValueError) as error:
        sys.stderr.write(f"leasehold: {error}\n")
        raise typer.Exit(1) from None


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(worker)


async def _work(options: WorkerOptions) -> None:
    """Raises: ClaimError; ValueError."""
    if not options.capabilities:
        raise ClaimError(f"no capability is given; write --capability with some of {', '.join(BUILT_IN)}")
    made = Worker(
        options.servers,
        concurrency=options.concurrency,
        lease=options.lease,
        drain_timeout=options.drain_timeout,
        name=options.name,
        tenant=options.tenant,
        space=options.space,
        token=options.token,
    )
    async with built_in(options.capabilities, options.executors) as functions:
        for name, function in functions.items():
            made.add(name, function)
        await made.run()


def _cluster(urls: str | None, environment: Mapping[str, str]) -> ClusterOptions:
    """The addresses given, and the credentials of the environment; an empty variable counts as absent."""
    given = _parts([urls] if urls else None)
    return ClusterOptions(
        tuple(given) or ClusterOptions().urls,
        api_key=environment.get("LEASEHOLD_ES_API_KEY") or None,
        username=environment.get("LEASEHOLD_ES_USERNAME") or None,
        password=environment.get("LEASEHOLD_ES_PASSWORD") or None,
        ca_certs=environment.get("LEASEHOLD_ES_CA_CERTS") or None,
    )


def _parts(given: list[str] | None) -> list[str]:
    """Each once, in order; an environment variable's text and options alike may hold several."""
    return list(dict.fromkeys(part.strip() for text in given or [] for part in text.split(",") if part.strip()))


if __name__ == "__main__":
    app(prog_name="leasehold worker")
