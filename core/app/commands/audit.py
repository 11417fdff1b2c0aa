"""`leasehold audit`: who did what; the whole trail as a file; and whether it is as it was written."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec import UNSET, Struct, UnsetType

from ....claim.errors import needs
from ....claim.wire.audit import AuditEntry, AuditPage
from .failures import CommandFailed, SentenceGroup
from .remote import (
    DEFAULT_SERVER,
    JsonOption,
    Remote,
    RolesOption,
    ServerOption,
    SpaceOption,
    TenantOption,
    printed,
)
from .shown import one_line

app = typer.Typer(
    help="Read the audit trail, export it, and verify that it is as it was written.",
    no_args_is_help=True,
    cls=SentenceGroup,
)

if TYPE_CHECKING:
    from ...audit.verify import Report

_PATH = "/_workflows/_audit"
_EXPORT = f"{_PATH}/_export"

AllTenants = Annotated[
    str,
    typer.Option(
        "--tenant", envvar="LEASEHOLD_TENANT", help="The tenant to act for (development mode); all by default."
    ),
]
AllSpaces = Annotated[
    str,
    typer.Option("--space", envvar="LEASEHOLD_SPACE", help="The space to act in (development mode); all by default."),
]


@app.command("list")
def list_rows(
    action: Annotated[str | None, typer.Option(help="Of this action, such as cancel.")] = None,
    user: Annotated[str | None, typer.Option(help="By this principal.")] = None,
    instance: Annotated[str | None, typer.Option(help="About this instance.")] = None,
    workflow: Annotated[str | None, typer.Option(help="About this workflow or its instances.")] = None,
    of_tenant: Annotated[str | None, typer.Option("--of-tenant", help="Of this tenant only.")] = None,
    outcome: Annotated[str | None, typer.Option(help="success, or failure for what was refused.")] = None,
    since: Annotated[str | None, typer.Option(help="Then or later: 1h, 7d, or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="Before that.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="So many rows at most.")] = 50,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who did what, when, from where; the newest first."""
    asked = {
        "action": action,
        "user": user,
        "instance": instance,
        "workflow": workflow,
        "tenant": of_tenant,
        "outcome": outcome,
        "since": since,
        "until": until,
        "size": str(limit),
    }
    query = {name: value for name, value in asked.items() if value is not None}
    page = Remote(server, tenant, space, roles).ask("GET", _PATH, AuditPage, query=query)
    if as_json:
        typer.echo(printed(page))
        return
    for row in page.rows:
        typer.secho(_row(row), fg="red" if row.outcome == "failure" else None)
    if page.next is not None:
        typer.echo(f"the newest {limit}; there are more: --limit, --since, --until")


@app.command()
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; compressed where it ends in .gz. Default: stdout.")
    ] = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: AllTenants = "*",
    space: AllSpaces = "*",
    roles: RolesOption = None,
) -> None:
    """The whole trail with its heads, a line of JSON a row, as `verify` takes it. Keep it where nobody changes it."""
    lines = exported(Remote(server, tenant, space, roles))
    if file is None:
        for line in lines:
            typer.echo(line)
        return
    # What was exported before is there until the new export is whole.
    part = file.with_name(file.name + ".part")
    count = 0
    with gzip.open(part, "wb") if file.suffix == ".gz" else part.open("wb") as out:
        for line in lines:
            out.write(line + b"\n")
            count += 1
    part.replace(file)
    typer.echo(f"{count - 2} rows are in {file}")


@app.command()
def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Exports to verify instead of what stands now.", exists=True),
    ] = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: AllTenants = "*",
    space: AllSpaces = "*",
    roles: RolesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Whether rows were removed, changed or added, or indices are gone too early. Exit 1 where something was found."""
    with needs("server", "leasehold audit verify"):
        from ...audit.checking import NotAnExport, checked
    sources: list[tuple[str, Iterable[bytes]]]
    with ExitStack() as stack:
        if files:
            sources = [(str(file), _lines_of(stack, file)) for file in files]
        else:
            sources = [("", exported(Remote(server, tenant, space, roles)))]
        reports = []
        for name, lines in sources:
            try:
                reports.append((name, checked(lines)))
            except NotAnExport as error:
                raise CommandFailed(f"{name + ': ' if name else ''}{error}") from None
    for name, report in reports:
        if as_json:
            typer.echo(printed(report))
        else:
            _tell(name, report)
    if any(report.findings_in_all for _, report in reports):
        raise typer.Exit(1)


class _Next(Struct):
    """The last line of a page, as far as it says where the next one is."""

    next: str | UnsetType = UNSET


def exported(remote: Remote) -> Iterator[bytes]:
    """The lines of an export, page by page. Raises: CommandFailed."""
    query: dict[str, str] = {}
    while True:
        page = remote.read("GET", _EXPORT, query=query)
        *lines, last = page.removesuffix(b"\n").split(b"\n")
        yield from lines
        token = msgspec.json.decode(last, type=_Next).next
        if token is UNSET:
            yield last
            return
        query = {"next": token}


def _lines_of(stack: ExitStack, file: Path) -> Iterable[bytes]:
    return stack.enter_context(gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb"))


def _row(row: AuditEntry) -> str:
    """What was done, by whom and from where; the reason on the next line, since a sentence is too long for a column."""
    did = f"{row.action} (refused)" if row.outcome == "failure" else row.action
    by = f"{row.user} from {row.address}" if row.address else row.user
    line = f"{row.at}  {did}  {_what(row)}  {by}"
    return one_line(line) + (f"\n  {one_line(row.reason)}" if row.reason else "")


def _what(row: AuditEntry) -> str:
    """What the row is about."""
    if row.instances:
        more = f" and {len(row.instances) - 1} more" if len(row.instances) > 1 else ""
        return row.instances[0] + more + (f" {row.step}" if row.step else "")
    if row.workflow:
        return f"{row.workflow} {row.version}" if row.version else row.workflow
    if isinstance(row.details, dict) and "family" in row.details:
        return f"policy of {row.details['family']}"
    if isinstance(row.details, dict) and row.action == "doctor_fix":
        return f"{row.details.get('check')}: {row.details.get('done')}"
    return f"tenant {row.tenant}"


def _tell(name: str, report: Report) -> None:
    head = f"{name}: " if name else ""
    up_to = "" if report.up_to is None else f", up to {report.up_to.isoformat(timespec='seconds')}"
    typer.echo(f"{head}{report.rows} rows of {report.chains} chains were checked{up_to}")
    counted: list[tuple[int, str]] = [
        (report.before_the_chain, "rows were written before there were chains: nothing vouches for them"),
        (report.unconfirmed, "rows are not confirmed yet, or their process died before they were"),
        (report.aged_chains, "chains have gone with indices that were of age"),
    ]
    for count, what in counted:
        if count:
            typer.echo(f"  {count} {what}")
    for finding in report.findings:
        typer.secho(f"! {finding.text}", fg="red")
    more = report.findings_in_all - len(report.findings)
    if more:
        typer.secho(f"! and {more} more", fg="red")
    found = report.findings_in_all
    typer.echo(
        f"{found} {'finding' if found == 1 else 'findings'}" if found else "nothing is missing, changed or added"
    )
