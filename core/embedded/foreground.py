"""An embedded server in the foreground, until Ctrl-C or SIGTERM: `python -m leasehold.core.embedded`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .errors import EmbeddedError
from .server import EmbeddedElasticsearch

DEFAULT_HTTP_PORT = 9200
_LOOK_INTERVAL_S = 1.0
_REQUESTS_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_in_foreground(
    http_port: int = DEFAULT_HTTP_PORT, heap_mb: int = 512, durable_folder: Path | None = None
) -> int:
    """Run a server until it is asked to end; the exit code. Call it from the main thread.

    Standard output gets one line, the URL, once the server answers. Words go to standard error.
    """
    for number in _REQUESTS_TO_END:
        signal.signal(number, _interrupt)
    try:
        with EmbeddedElasticsearch(http_port=http_port, heap_mb=heap_mb, durable_folder=durable_folder) as server:
            sys.stdout.write(f"{server.url}\n")
            sys.stdout.flush()
            sys.stderr.write(f"Elasticsearch {server.version} answers there until Ctrl-C; its log: {server.log_file}\n")
            while server.is_running():
                time.sleep(_LOOK_INTERVAL_S)
            sys.stderr.write("Elasticsearch has ended by itself\n")
            return 1
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m leasehold.core.embedded", description="Run a genuine Elasticsearch on loopback until Ctrl-C."
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_HTTP_PORT, help="HTTP port; 0: any free one (default %(default)s)"
    )
    parser.add_argument("--heap-mb", type=int, default=512, help="heap in MB (default %(default)s)")
    parser.add_argument(
        "--durable", type=Path, metavar="FOLDER", help="keep the indices in FOLDER (default: remove them)"
    )
    chosen = parser.parse_args(arguments)
    return run_in_foreground(chosen.port, chosen.heap_mb, chosen.durable)


def _interrupt(*_: object) -> None:
    """End once: an impatient second request must not interrupt the end itself."""
    for number in _REQUESTS_TO_END:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
