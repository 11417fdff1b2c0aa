"""`leasehold tenants`: what tenants may do, and what they have used."""

from __future__ import annotations

from typing import Annotated

import typer

from .failures import SentenceGroup
from .remote import printed

app = typer.Typer(
    help="Look at what is in force for tenants, and change it, while replicas run.",
    no_args_is_help=True,
    cls=SentenceGroup,
)


@app.command()
def schema(
    deployment: Annotated[bool, typer.Option("--deployment", help="Of the deployment's document, `*`.")] = False,
) -> None:
    """Print the JSON Schema of a tenant's document, for editors. Asks no server."""
    from ....tenancy.documents import json_schema  # pydantic takes a moment that the other commands can do without

    typer.echo(printed(json_schema(deployment=deployment)))
