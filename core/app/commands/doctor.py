"""`leasehold doctor`: what disagrees in an installation, and putting right what can be put right."""

from __future__ import annotations

from typing import Annotated

import typer

from ....claim.wire.doctor import DoctorView, Finding
from .remote import DEFAULT_SERVER, JsonOption, Remote, RolesOption, ServerOption, printed

_DOCTOR = "/_workflows/_doctor"


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be repaired without losing anything; each repair is audited.")
    ] = False,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Examine the installation. Ends with 1 when something is wrong, or still is after --fix."""
    remote = Remote(server, roles=roles)
    view = remote.ask("POST" if fix else "GET", f"{_DOCTOR}/_fix" if fix else _DOCTOR, DoctorView)
    if as_json:
        typer.echo(printed(view))
    else:
        _show(view, fix)
    if not view.healthy:
        raise typer.Exit(1)


def _show(view: DoctorView, fix: bool) -> None:
    for one in view.findings:
        typer.echo(f"{'fixed' if one.fixed else one.severity}: {one.check}: {one.what}")
        if one.done:
            typer.echo(f"  repaired: {one.done}")
        if one.left:
            typer.echo(f"  left: {one.left}")
        if not one.fixed:
            typer.echo(f"  -> {one.way_out}")
    open_ones = [one for one in view.findings if not one.fixed]
    if not view.findings:
        typer.echo(f"{len(view.checks)} checks, nothing found")
    else:
        typer.echo(_summed_up(view, open_ones, fix))


def _summed_up(view: DoctorView, open_ones: list[Finding], fix: bool) -> str:
    fixable = sum(one.fixable for one in open_ones)
    told = f"{len(view.checks)} checks, {len(view.findings)} found"
    if fix:
        return f"{told}, {len(view.findings) - len(open_ones)} repaired, {len(open_ones)} left"
    return f"{told}, {fixable} of them can be repaired with --fix" if fixable else told
