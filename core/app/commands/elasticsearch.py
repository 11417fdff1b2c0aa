"""`leasehold elasticsearch`: a genuine Elasticsearch in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ....claim.errors import needs


def elasticsearch(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="HTTP port; 0: any free one.")] = 9200,
    heap_mb: Annotated[int, typer.Option(min=64, help="Heap in MB.")] = 512,
    durable: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the indices in FOLDER. Default: remove them at the end.")
    ] = None,
) -> None:
    """Run a genuine Elasticsearch on loopback until Ctrl-C: no Java, no Docker, no installation. For development."""
    with needs("embedded", "the embedded Elasticsearch"):
        from ...embedded.foreground import run_in_foreground
    raise typer.Exit(run_in_foreground(port, heap_mb, durable))
