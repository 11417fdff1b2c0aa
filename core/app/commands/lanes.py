"""`leasehold lanes`: look at the lanes, add some, and take some away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from .failures import SentenceGroup
from .remote import DEFAULT_SERVER, JsonOption, Remote, RolesOption, ServerOption, printed, segment

app = typer.Typer(
    help="Look at the lanes, add some, and take some away, while replicas run.", no_args_is_help=True, cls=SentenceGroup
)

LaneArgument = Annotated[str, typer.Argument(metavar="LANE", help="The lane's name, such as 03.")]
_LANES = "/_workflows/_lanes"


class Lane(Struct, frozen=True):
    """What a server says of a lane, as far as it is shown."""

    lane: str
    owner: str | None
    epoch: int
    mine: bool
    state: str
    instances: int | None = None
    removable_at_ms: int | None = None
    address: str | None = None


class Lanes(Struct, frozen=True):
    lanes: list[Lane]


@app.command("list")
def list_all(server: ServerOption = DEFAULT_SERVER, roles: RolesOption = None, as_json: JsonOption = False) -> None:
    """List the lanes: who owns them, and how far those are that are on their way out."""
    _show(Remote(server, roles=roles), "GET", _LANES, as_json)


@app.command()
def add(
    count: Annotated[int, typer.Argument(min=1, help="How many.")] = 1,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add lanes. Replicas share them out at once, and new instances go to them too."""
    _show(Remote(server, roles=roles), "POST", _LANES, as_json, msgspec.json.encode({"count": count}))


@app.command()
def drain(
    lane: LaneArgument,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a lane take no new instances. It ends those that it holds, and is then `drained`; nothing is lost."""
    path = f"{_LANES}/{segment(lane)}/_drain"
    answer = Remote(server, roles=roles).ask("POST", path, msgspec.Raw)
    _print(answer, [msgspec.json.decode(answer, type=Lane)], as_json)


@app.command()
def remove(
    lane: LaneArgument,
    yes: Annotated[
        bool, typer.Option("--yes", help="Now, although idempotency keys may still name instances of this lane.")
    ] = False,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
) -> None:
    """Remove a drained lane, and its index with it."""
    query = {"early": "true"} if yes else None
    Remote(server, roles=roles).ask("DELETE", f"{_LANES}/{segment(lane)}", type(None), query=query)
    typer.echo(f"lane {lane} removed")


def _show(remote: Remote, method: str, path: str, as_json: bool, body: bytes | None = None) -> None:
    answer = remote.ask(method, path, msgspec.Raw, body=body)
    _print(answer, msgspec.json.decode(answer, type=Lanes).lanes, as_json)


def _print(answer: Any, lanes: list[Lane], as_json: bool) -> None:
    if as_json:
        typer.echo(printed(msgspec.json.decode(answer)))
        return
    table = Table("lane", "state", "owner", "address", "epoch", "instances", "removable")
    for lane in lanes:
        instances = "" if lane.instances is None else str(lane.instances)
        removable = "" if lane.removable_at_ms is None else _time(lane.removable_at_ms)
        table.add_row(
            lane.lane, lane.state, lane.owner or "nobody", lane.address or "", str(lane.epoch), instances, removable
        )
    Console().print(table)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
