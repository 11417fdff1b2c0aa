"""`leasehold tenants usage`: what tenants have used."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Column, Table

from .....claim.wire.usage import UsageRow, UsageView
from ... import usage_csv
from ..remote import DEFAULT_SERVER, JsonOption, Remote, RolesOption, ServerOption, TenantOption, printed, segment

_HEADS = {
    "starts": "starts",
    "attempts": "attempts",
    "retries": "retries",
    "executor_ms": "executor s",
    "llm_calls": "LLM calls",
    "llm_tokens": "tokens",
    "cost": "cost",
    "stored_bytes": "bytes",
}


def usage(
    tenant_id: Annotated[
        str, typer.Argument(metavar="ID", help="The tenant's name; without it, all tenants (for operators).")
    ] = "*",
    since: Annotated[str, typer.Option(help="The first day, as 2026-01-31, or how long ago it was, as 30d.")] = "30d",
    until: Annotated[str | None, typer.Option(help="The last day, in the same form; today by default.")] = None,
    by: Annotated[
        Literal["day", "workflow", "tenant", "total", "all"] | None,
        typer.Option(help="What has a line of its own; all: each workflow on each day.", show_default="day, or tenant"),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a tenant has used, by UTC days."""
    query = {"since": since, "by": by or ("tenant" if tenant_id == "*" else "day")}
    if until is not None:
        query["until"] = until
    path = f"/_workflows/_tenants/{segment(tenant_id)}/_usage"
    view = Remote(server, tenant, roles=roles).ask("GET", path, UsageView, query=query)
    if as_csv:
        typer.echo(usage_csv.as_csv(view), nl=False)
        return
    if as_json:
        typer.echo(printed(view))
        return
    _show(view)


def _show(view: UsageView) -> None:
    keys = [name for name in ("day", "tenant", "workflow") if any(getattr(row, name) for row in view.rows)]
    table = Table(*keys, *(Column(head, justify="right") for head in _HEADS.values()), show_footer=False)
    for row in view.rows:
        table.add_row(*(getattr(row, name) or "" for name in keys), *_cells(row))
    if len(view.rows) > 1:
        table.add_section()
        table.add_row(*("total" if place == 0 else "" for place, _ in enumerate(keys)), *_cells(view.total))
    console = Console()
    whose = "all tenants" if view.tenant == "*" else view.tenant
    console.print(f"{whose}, {view.since} to {view.until}", markup=False, highlight=False)
    console.print(table)


def _cells(row: UsageRow) -> list[str]:
    return [_written(name, getattr(row, name)) for name in _HEADS]


def _written(name: str, value: float) -> str:
    if name == "executor_ms":
        return f"{value / 1_000:,.1f}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if name == "cost" else f"{value:,}"
