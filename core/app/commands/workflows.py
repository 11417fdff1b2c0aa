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
from .blueprints import BlocksOption, SetOption, ValuesOption, definitions_of, expansion_of
from .failures import CommandFailed, SentenceGroup
from .remote import DEFAULT_SERVER, JsonOption, Remote, ServerOption, SpaceOption, TenantOption, printed, segment
from .versions import COMMANDS

if TYPE_CHECKING:
    from ....definitions import Definition, DefinitionError
    from ....definitions.blueprints import Expansion

app = typer.Typer(
    help="Check, store and read workflow definitions; activate, try and roll back their versions.",
    no_args_is_help=True,
    cls=SentenceGroup,
)

FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files; - reads standard input.")]
NameArgument = Annotated[str, typer.Argument(help="The workflow's name.")]


@app.command()
def validate(
    files: FilesArgument,
    settings: SetOption = None,
    values: ValuesOption = None,
    blocks: BlocksOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every violation as JSON.")] = False,
) -> None:
    """Say whether the definitions in FILE... are valid, and if not, what is wrong in which line."""
    rows: list[dict[str, Any]] = []
    failed = False
    expansion = expansion_of(settings, values, blocks)
    for path in files:
        found = definitions_of(path, expansion)
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
def render(
    files: FilesArgument,
    settings: SetOption = None,
    values: ValuesOption = None,
    blocks: BlocksOption = None,
) -> None:
    """Print the definitions in FILE... as they would be stored: parameters and blocks written out, and checked."""
    expansion = expansion_of(settings, values, blocks)
    sources = [definition.source.strip("\n") for definition in _valid(files, expansion)]
    typer.echo("\n---\n".join(source.removeprefix("---\n") for source in sources))


@app.command()
def schema() -> None:
    """Print the JSON Schema of definitions, for editors."""
    with needs("server", "this command"):
        from ....definitions import json_schema
    typer.echo(printed(json_schema()))


@app.command()
def put(
    files: FilesArgument,
    settings: SetOption = None,
    values: ValuesOption = None,
    blocks: BlocksOption = None,
    activate: Annotated[
        bool, typer.Option(" /--no-activate", help="Only store them; the active versions stay.")
    ] = True,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store the definitions in FILE... and make them the active versions. All are checked before the first is sent."""
    definitions = _valid(files, expansion_of(settings, values, blocks), "and nothing was stored")
    remote = Remote(server, tenant, space)
    stored = [
        remote.ask(
            "PUT",
            f"/_workflows/{segment(definition.name)}",
            DefinitionStored,
            query=None if activate else {"activate": "false"},
            body=definition.source.encode(),
            content_type="application/yaml",
        )
        for definition in definitions
    ]
    if as_json:
        typer.echo(printed(stored))
        return
    for answer in stored:
        stored_now = "stored" if answer.created else "was stored before"
        typer.echo(f"{answer.name} version {answer.version} {stored_now}{'; active' if answer.active else ''}")


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


for command in COMMANDS:
    app.command()(command)


def _valid(files: list[Path], expansion: Expansion, otherwise: str = "") -> list[Definition]:
    """The definitions of all files. Raises: CommandFailed if one is not valid."""
    definitions: list[Definition] = []
    for path in files:
        found = definitions_of(path, expansion)
        if not isinstance(found, list):
            raise CommandFailed(f"{path} is not valid{f', {otherwise}' if otherwise else ''}:\n{found}")
        definitions += found
    return definitions


def _rows(error: DefinitionError) -> list[dict[str, Any]]:
    names = ("path", "message", "line", "column", "found", "allowed", "nearest")
    rows = [{name: getattr(violation, name) for name in names} for violation in error.violations]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
