"""`leasehold workflows`: check definitions here, store and read them on a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ....claim.errors import needs
from ....claim.wire import DefinitionList, DefinitionStored, DefinitionView
from .failures import CommandFailed, SentenceGroup
from .remote import DEFAULT_SERVER, JsonOption, Remote, ServerOption, SpaceOption, TenantOption, printed, segment

if TYPE_CHECKING:
    from ....definitions import Definition, DefinitionError

app = typer.Typer(help="Check, store and read workflow definitions.", no_args_is_help=True, cls=SentenceGroup)

FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files; - reads standard input.")]
NameArgument = Annotated[str, typer.Argument(help="The workflow's name.")]


@app.command()
def validate(
    files: FilesArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print every violation as JSON.")] = False,
) -> None:
    """Say whether the definitions in FILE... are valid, and if not, what is wrong in which line."""
    rows: list[dict[str, Any]] = []
    failed = False
    for path in files:
        found = _load(path)
        if isinstance(found, list):
            rows.append({"file": str(path), "valid": True, "workflows": [definition.name for definition in found]})
            if not as_json:
                for definition in found:
                    typer.echo(f"{path}: {definition.name} version {definition.version} is valid")
        else:
            failed = True
            rows.append({"file": str(path), "valid": False, "violations": _rows(found)})
            if not as_json:
                sys.stderr.write(f"{found}\n")
    if as_json:
        typer.echo(printed(rows))
    if failed:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of definitions, for editors."""
    with needs("server", "this command"):
        from ....definitions import json_schema
    typer.echo(printed(json_schema()))


@app.command()
def put(
    files: FilesArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store the definitions in FILE... and make them the active versions. All are checked before the first is sent."""
    definitions: list[Definition] = []
    for path in files:
        found = _load(path)
        if not isinstance(found, list):
            raise CommandFailed(f"{path} is not valid, and nothing was stored:\n{found}")
        definitions += found
    remote = Remote(server, tenant, space)
    stored = [
        remote.ask(
            "PUT",
            f"/_workflows/{segment(definition.name)}",
            DefinitionStored,
            body=definition.source.encode(),
            content_type="application/yaml",
        )
        for definition in definitions
    ]
    if as_json:
        typer.echo(printed(stored))
        return
    for answer in stored:
        typer.echo(
            f"{answer.name} version {answer.version} {'stored' if answer.created else 'was stored before'}; active"
        )


@app.command("list")
def list_all(
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the workflows of a server."""
    answer = Remote(server, tenant, space).ask("GET", "/_workflows", DefinitionList)
    if as_json:
        typer.echo(printed(answer))
        return
    table = Table("workflow", "active version", "versions", "description")
    for summary in answer.definitions:
        versions = ", ".join(str(version) for version in summary.versions)
        table.add_row(summary.name, str(summary.active_version), versions, summary.description or "")
    Console().print(table)


@app.command()
def show(
    name: NameArgument,
    version: Annotated[int | None, typer.Option(help="Default: the active version.")] = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the YAML of workflow NAME."""
    query = {"version": str(version)} if version is not None else None
    view = Remote(server, tenant, space).ask("GET", f"/_workflows/{segment(name)}", DefinitionView, query=query)
    typer.echo(printed(view) if as_json else view.source.rstrip("\n"))


@app.command()
def delete(
    name: NameArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
) -> None:
    """Take workflow NAME out of use; running instances go on."""
    Remote(server, tenant, space).ask("DELETE", f"/_workflows/{segment(name)}", type(None))
    typer.echo(f"{name} is out of use")


def _load(path: Path) -> list[Definition] | DefinitionError:
    """The definitions of a file, or what is wrong with them. Raises: CommandFailed when the file can't be read."""
    with needs("server", "this command"):
        from ....definitions import DefinitionError, load
    try:
        source = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}") from None
    try:
        return list(load(source, origin=str(path)))
    except DefinitionError as error:
        return error


def _rows(error: DefinitionError) -> list[dict[str, Any]]:
    names = ("path", "message", "line", "column", "found", "allowed", "nearest")
    rows = [{name: getattr(violation, name) for name in names} for violation in error.violations]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
