"""The command `leasehold` and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from .... import __version__
from ....claim.command import worker
from . import audit, instances, lanes, lifecycle, workflows
from .doctor import doctor
from .elasticsearch import elasticsearch
from .failures import SentenceGroup
from .listing import list_instances
from .replays import check, replay
from .serve import serve
from .tenancy import documents
from .tenancy.usage import usage

app = typer.Typer(
    help="Leasehold: durable multi-step workflows on Elasticsearch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=SentenceGroup,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"leasehold {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Leasehold: durable multi-step workflows on Elasticsearch."""


workflows.app.command()(check)
instances.app.command("list")(list_instances)
instances.app.command()(replay)
documents.app.command()(usage)
app.command()(serve)
app.command()(worker)
app.add_typer(workflows.app, name="workflows")
app.add_typer(instances.app, name="instances")
app.add_typer(lanes.app, name="lanes")
app.add_typer(documents.app, name="tenants")
app.add_typer(lifecycle.app, name="ilm")
app.add_typer(audit.app, name="audit")
app.command()(doctor)
app.command()(elasticsearch)
