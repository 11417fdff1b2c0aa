"""`leasehold tenants`: what tenants may do, and what they have used."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .....claim.wire.tenants import TenantList, TenantView
from ..failures import CommandFailed, SentenceGroup
from ..remote import (
    DEFAULT_SERVER,
    JsonOption,
    Remote,
    RemoteRefused,
    RolesOption,
    ServerOption,
    TenantOption,
    printed,
    segment,
)
from ..shown import written
from .editor import edited
from .fields import assigned, assignment, fields_of

app = typer.Typer(
    help="Look at what is in force for tenants, and change it, while replicas run.",
    no_args_is_help=True,
    cls=SentenceGroup,
)

TenantArgument = Annotated[
    str, typer.Argument(metavar="TENANT", help="The tenant's name; '*' for the deployment's document.")
]
RevisionOption = Annotated[
    str | None,
    typer.Option("--revision", help="Only if the document stands at this revision; 'none': only if there is none."),
]

_TENANTS = "/_workflows/_tenants"
_YAML = "application/yaml"
_PAGE = 1_000
_MERGES = 5
_USUAL = {"weight": 1.0, "priority_ceiling": 0, "paused": False}
"""What is in force for a tenant without a document where the deployment has no `defaults`."""


@app.command("list")
def list_all(
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the tenants that have a document, and what it says."""
    remote = Remote(server, tenant, roles=roles)
    views: list[TenantView] = []
    query = {"size": str(_PAGE)}
    while True:
        page = remote.ask("GET", _TENANTS, TenantList, query=query)
        views += page.tenants
        if page.next is None:
            break
        query["after"] = page.next
    if as_json:
        typer.echo(printed(TenantList(views)))
        return
    table = Table("tenant", Column("document", overflow="fold"), "changed", "by")
    for view in views:
        said = f"not valid: {view.error}" if view.error else " ".join(fields_of(view.document or {})) or "{}"
        changed = "" if view.updated_at_ms is None else written(view.updated_at_ms)
        table.add_row(escape(view.tenant), escape(said), changed, escape(view.updated_by or ""))
    Console().print(table)


@app.command()
def show(
    name: TenantArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a tenant's document, and what is in force for it on the server that answers."""
    _show(_view(Remote(server, tenant, roles=roles), name), as_json)


@app.command("set")
def set_fields(
    name: TenantArgument,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH=VALUE]...", help="Fields to change; without a value, to take away."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Replace the document by this one, YAML or JSON.")
    ] = None,
    revision: RevisionOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change single fields of a tenant's document, or replace it. Running replicas obey within 2 seconds.

    leasehold tenants set acme weight=3 claim_rate.per_s=5 max_running_steps=
    """
    remote = Remote(server, tenant, roles=roles)
    if (file is None) == (not fields):
        raise CommandFailed("give fields to change, as in weight=3, or a document with --file")
    before = _view(remote, name)
    if file is not None:
        _show(_put(remote, name, _read(file), revision), as_json)
    else:
        _show(_merge(remote, name, fields or [], revision), as_json)
    _tell_of_defaults(before, as_json)


@app.command()
def delete(
    name: TenantArgument,
    revision: RevisionOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    roles: RolesOption = None,
) -> None:
    """Delete a tenant's document: what the deployment's says of tenants without one is in force."""
    query = {} if revision is None else {"revision": revision}
    Remote(server, tenant, roles=roles).ask("DELETE", _path(name), type(None), query=query)
    typer.echo(f"the document of {name} is deleted")


@app.command()
def edit(
    name: TenantArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Edit a tenant's document as YAML in $VISUAL or $EDITOR. What somebody changes meanwhile is not overwritten."""
    remote = Remote(server, tenant, roles=roles)
    view = _view(remote, name)
    text = _yaml(view.document) if view.document else f"# {name} has no document yet; `weight: 1` would be one.\n"
    wanted = edited(text, name=f"{_file_name(name)}.yaml")
    if wanted == text:
        typer.echo("nothing changed")
        return
    try:
        _show(_put(remote, name, wanted.encode(), view.revision or "none"), as_json)
        _tell_of_defaults(view, as_json)
    except CommandFailed as error:
        with NamedTemporaryFile("w", suffix=".yaml", prefix=f"{_file_name(name)}-", delete=False) as kept:
            kept.write(wanted)
        raise CommandFailed(f"{error}\nwhat you wrote is in {kept.name}") from None


@app.command()
def schema(
    deployment: Annotated[bool, typer.Option("--deployment", help="Of the deployment's document, '*'.")] = False,
) -> None:
    """Print the JSON Schema of a tenant's document, for editors. Asks no server."""
    from .....tenancy.documents import json_schema  # pydantic takes a moment that the other commands can do without

    typer.echo(printed(json_schema(deployment=deployment)))


def _path(name: str) -> str:
    return f"{_TENANTS}/{segment(name)}"


def _view(remote: Remote, name: str) -> TenantView:
    return remote.ask("GET", _path(name), TenantView)


def _put(remote: Remote, name: str, body: bytes, revision: str | None, content_type: str = _YAML) -> TenantView:
    query = {} if revision is None else {"revision": revision}
    return remote.ask("PUT", _path(name), TenantView, query=query, body=body, content_type=content_type)


def _merge(remote: Remote, name: str, fields: list[str], revision: str | None) -> TenantView:
    """Change these fields of what stands, again where somebody else was faster."""
    changes = [assignment(field) for field in fields]
    for _ in range(_MERGES):
        view = _view(remote, name)
        document: dict[str, Any] = view.document or {}
        for path, value in changes:
            document = assigned(document, path, value)
        try:
            body = msgspec.json.encode(document)
            return _put(remote, name, body, revision or view.revision or "none", "application/json")
        except RemoteRefused as error:
            if error.problem.status != 409 or revision is not None:
                raise
    raise CommandFailed(f"the document of {name} is being changed by others all the time")


def _tell_of_defaults(before: TenantView, as_json: bool) -> None:
    """Who had no document had the deployment's `defaults`, and has nothing of them any more."""
    defaults = {name: value for name, value in (before.in_force or _USUAL).items() if name != "refused"}
    if before.document is None and before.tenant != "*" and defaults != _USUAL:
        lost = " ".join(fields_of(defaults))
        said = f"# {before.tenant} had no document until now: the deployment's defaults ({lost}) no longer hold for it"
        typer.echo(said, err=as_json)


def _show(view: TenantView, as_json: bool) -> None:
    if as_json:
        typer.echo(printed(view))
        return
    head = f"# {view.tenant}: revision {view.revision}" if view.revision else f"# {view.tenant} has no document"
    if view.updated_at_ms is not None:
        head += f", changed {written(view.updated_at_ms)} by {view.updated_by}"
    typer.echo(head)
    if view.error is not None:
        typer.echo(f"# NOT VALID, what was in force before stays: {view.error}")
    typer.echo(_yaml({"document": view.document} if view.document is not None else {}), nl=False)
    if view.in_force is not None:
        typer.echo(_yaml({"in_force": view.in_force}), nl=False)


def _yaml(value: dict[str, Any] | None) -> str:
    from .....definitions.blueprints.writing import written as as_yaml

    return as_yaml(value) if value else ""


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}") from None


def _file_name(name: str) -> str:
    return "deployment" if name == "*" else name
