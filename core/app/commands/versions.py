"""`leasehold workflows`, the commands about versions: which is active, back to the one before, canaries, migrations."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ....claim.wire.versions import (
    ActivateBody,
    ActivationView,
    CanaryBody,
    CanaryRollback,
    CanaryView,
    MigrateBody,
    MigrationResult,
    MigrationResults,
    RollbackBody,
    VersionsView,
)
from .failures import CommandFailed
from .pairs import pairs_of
from .remote import DEFAULT_SERVER, JsonOption, Remote, ServerOption, SpaceOption, TenantOption, printed, segment
from .shown import written

NameArgument = Annotated[str, typer.Argument(help="The workflow's name.")]
VersionArgument = Annotated[int, typer.Argument(min=1, help="The version's number.")]
IfActiveOption = Annotated[
    int | None, typer.Option("--if-active", min=1, metavar="VERSION", help="Only if this version is active now.")
]


def versions(
    name: NameArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the versions of workflow NAME, and what happened to them."""
    _show(Remote(server, tenant, space).ask("GET", f"{_path(name)}/_versions", VersionsView), as_json)


def activate(
    name: NameArgument,
    version: VersionArgument,
    if_active: IfActiveOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a stored version of workflow NAME the active one; running instances go on with theirs."""
    _post(Remote(server, tenant, space), name, "_activate", ActivateBody(version, if_active), as_json)


def rollback(
    name: NameArgument,
    if_active: IfActiveOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the version of workflow NAME active that was active before."""
    _post(Remote(server, tenant, space), name, "_rollback", RollbackBody(if_active), as_json)


def canary(
    name: NameArgument,
    version: Annotated[int | None, typer.Argument(min=1, help="The version to try; none with --end.")] = None,
    percent: Annotated[
        float | None, typer.Option(max=100, help="How many of the starts get it; more than 0, at most 100.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="Starts with this label get it; several: with all of them."),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Remove it when it fails more often than the active version by this.")
    ] = 0.1,
    min_instances: Annotated[
        int, typer.Option(min=1, help="... and at least so many of its instances have ended.")
    ] = 20,
    keep: Annotated[bool, typer.Option("--keep", help="Never remove it by itself.")] = False,
    end: Annotated[
        bool, typer.Option("--end", help="No start gets it any more. (To promote it, activate it.)")
    ] = False,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a stored version of workflow NAME to some of the starts, or end that."""
    remote = Remote(server, tenant, space)
    if end:
        _show(remote.ask("DELETE", f"{_path(name)}/_canary", VersionsView), as_json)
        return
    if version is None:
        raise CommandFailed("which version? name it, or end the canary with --end")
    limit = None if keep else CanaryRollback(margin, min_instances)
    _post(remote, name, "_canary", CanaryBody(version, percent, pairs_of("--label", labels), limit), as_json)


def migrate(
    name: NameArgument,
    from_version: Annotated[int, typer.Option("--from", min=1, metavar="VERSION", help="The version that they run.")],
    to_version: Annotated[int, typer.Option("--to", min=1, metavar="VERSION", help="The version to go on with.")],
    instance_id: Annotated[str | None, typer.Option("--instance", metavar="ID", help="This one; else all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of them; change nothing.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let live instances of workflow NAME go on under another version, where their past would be the same under it.

    Ends with code 1 when one of them stays as it is.
    """
    remote = Remote(server, tenant, space)
    results: list[MigrationResult] = []
    after: str | None = None
    while True:
        body = MigrateBody(from_version, to_version, instance_id, dry_run, after)
        page = remote.ask("POST", f"{_path(name)}/_migrate", MigrationResults, body=msgspec.json.encode(body))
        results += page.results
        if not as_json:
            _tell_of_those_that_stay(page.results)
        after = page.next
        if after is None:
            break
    if as_json:
        typer.echo(printed(MigrationResults(results)))
    else:
        counts = Counter[str](result.outcome for result in results)
        typer.echo(", ".join(f"{counts[one]} {_IN_WORDS[one]}" for one in _IN_WORDS if counts[one]) or "none is live")
    if any(result.outcome in ("differs", "stays") for result in results):
        raise typer.Exit(1)


COMMANDS = (versions, activate, rollback, canary, migrate)

_IN_WORDS = {
    "migrated": "migrated",
    "would_migrate": "would migrate",
    "differs": "with another past",
    "stays": "not now",
    "ended": "ended",
}


def _tell_of_those_that_stay(results: list[MigrationResult]) -> None:
    for result in results:
        if result.detail is not None:
            typer.echo(f"{result.instance_id}: {result.detail}")


def _post(remote: Remote, name: str, verb: str, body: msgspec.Struct, as_json: bool) -> None:
    view = remote.ask("POST", f"{_path(name)}/{verb}", VersionsView, body=msgspec.json.encode(body))
    _show(view, as_json)


def _path(name: str) -> str:
    return f"/_workflows/{segment(name)}"


def _show(view: VersionsView, as_json: bool) -> None:
    if as_json:
        typer.echo(printed(view))
        return
    console = Console()
    table = Table("version", "", "stored", "by", "description")
    for one in view.versions:
        what = "active" if one.active else "canary" if one.canary else ""
        table.add_row(str(one.version), what, written(one.created_at_ms), one.created_by, one.description or "")
    console.print(table)
    if view.canary is not None:
        console.print(_of_canary(view.canary), markup=False, highlight=False)
    for change in view.activations:
        typer.echo(_of_change(change))


def _of_change(change: ActivationView) -> str:
    """One line, and its reason on the next: reasons are sentences, for which a column is too narrow."""
    before = f" (before: {change.before})" if change.before else ""
    what = f"{change.action.replace('_', ' ')} {change.version}{before}"
    line = f"{written(change.at_ms)}  {what}, by {change.by or 'the scheduler'}"
    return f"{line}\n  {change.reason}" if change.reason else line


def _of_canary(canary: CanaryView) -> str:
    shares = [f"{canary.percent:g} % of the starts"] if canary.percent else []
    if canary.labels:
        shares.append("starts with " + ", ".join(f"{name}={value}" for name, value in canary.labels.items()))
    return f"version {canary.version} is tried on {' and '.join(shares)}"
