"""`leasehold serve`: a scheduler replica, or several that share a port."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ....claim.errors import needs


def serve(
    config: Annotated[
        Path | None, typer.Option(help="A TOML file; default: LEASEHOLD_CONFIG, or leasehold.toml if it is there.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="A loopback address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[str | None, typer.Option(help="The port to listen on; 0 takes a free one. Default: 8080.")] = None,
    processes: Annotated[
        str | None,
        typer.Option(
            help="How many replicas share the port, each a process of its own (Linux); more than lanes are of no use."
            " Default: 1."
        ),
    ] = None,
    elasticsearch: Annotated[
        str | None,
        typer.Option(help="Addresses of Elasticsearch, separated by commas. Default: http://127.0.0.1:9200."),
    ] = None,
    index_prefix: Annotated[str | None, typer.Option(help="How index names begin. Default: workflow.")] = None,
    log_format: Annotated[str | None, typer.Option(help="console or json.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run a scheduler replica beside Elasticsearch, or several on one port, until SIGTERM or Ctrl-C.

    Settings come from the file, then LEASEHOLD_* variables (LEASEHOLD_ES_URL, LEASEHOLD_PORT, ...), then options.
    """
    with needs("server", "a scheduler"):
        from ..configuration import load_settings
        from ..logs import configure_logs
    settings = load_settings(
        environment=os.environ,
        config=config,
        arguments={
            "--host": host,
            "--port": port,
            "--processes": processes,
            "--elasticsearch": elasticsearch,
            "--index-prefix": index_prefix,
            "--log-format": log_format,
            "--log-level": log_level,
        },
    )
    configure_logs(settings.server.log_format, settings.server.log_level)
    with needs("server", "a scheduler"):
        from ..event_loop import run
        from ..serve import serve as serve_until_stopped
        from ..siblings import serve_siblings
    run(serve_siblings(settings) if settings.server.processes > 1 else serve_until_stopped(settings))
