"""`leasehold instances list`: a page, all pages, or what comes until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
import typer

from ....claim.wire.search import STATUSES, FoundInstance, InstanceList
from .failures import CommandFailed
from .following import Following, others, when
from .pairs import pairs_of
from .remote import DEFAULT_SERVER, JsonOption, Remote, RemoteRefused, ServerOption, SpaceOption, TenantOption, printed
from .shown import one_line, written

_PATH = "/_workflows/_search"
_ALL_AT_ONCE = 500
_LOOK_EVERY_S = 2.0
# Clocks of replicas differ, and a document may be found a refresh after it was written.
_OVERLAP_S = 10.0
_CHANGES_AT_ONCE = 1_000

Pairs = list[tuple[str, str]]
Ask = Callable[[Pairs], InstanceList]


def list_instances(
    status: Annotated[
        str | None, typer.Option(help=f"In one of these, separated by commas: {', '.join(STATUSES)}.")
    ] = None,
    workflow: Annotated[str | None, typer.Option(help="Of this workflow.")] = None,
    version: Annotated[int | None, typer.Option(help="Of this version of it.")] = None,
    since: Annotated[str | None, typer.Option(help="Started then or later: 1h, 7d, 2026-01-31T08:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Started before that.")] = None,
    finished_since: Annotated[str | None, typer.Option(help="That ended then or later.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="K=V", help="With this label; several: with all.")] = None,
    text: Annotated[str | None, typer.Option(help="With these words in inputs, outputs or an error.")] = None,
    error_type: Annotated[str | None, typer.Option(help="That ended with this error type.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Started with this correlation id.")] = None,
    started_by: Annotated[str | None, typer.Option(help="Started by this principal.")] = None,
    parent: Annotated[str | None, typer.Option(help="Children of this instance.")] = None,
    children: Annotated[bool, typer.Option("--children", help="With the children of sub-workflow steps.")] = False,
    sort: Annotated[str, typer.Option(help="created; or, of those that have ended, finished or duration.")] = "created",
    order: Annotated[str, typer.Option(help="desc: the newest, or longest, first; asc.")] = "desc",
    size: Annotated[int, typer.Option(help="How many at most.")] = 50,
    next_page: Annotated[str | None, typer.Option("--next", help="What the page before named as the next.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="All pages, a line an instance.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List instances, live and finished ones, the newest first."""
    given = {
        "status": status, "workflow": workflow, "version": version, "since": since, "until": until,
        "finished_since": finished_since, "text": text, "error_type": error_type, "correlation_id": correlation_id,
        "started_by": started_by, "parent": parent, "children": "true" if children else None,
    }  # fmt: skip
    filters = [(name, str(value)) for name, value in given.items() if value is not None]
    filters += [("label", f"{key}={value}") for key, value in pairs_of("--label", label).items()]
    ordered = [*filters, ("sort", sort), ("order", order)]
    remote = Remote(server, tenant, space)

    def ask(pairs: Pairs) -> InstanceList:
        return remote.ask("GET", f"{_PATH}?{urlencode(pairs, safe=',:', quote_via=quote)}", InstanceList)

    if sum((whole, follow, next_page is not None)) > 1:
        raise CommandFailed("--all, --follow and --next exclude each other: give one of them")
    if follow:
        _follow(ask, filters, status, size, as_json)
    elif whole:
        for page in _pages(ask, [*ordered, ("size", str(_ALL_AT_ONCE))]):
            _tell(page.instances, as_json)
    else:
        asked = [*ordered, ("size", str(size))] + ([("next", next_page)] if next_page is not None else [])
        _show(ask(asked), as_json)


def _pages(ask: Ask, asked: Pairs) -> Iterator[InstanceList]:
    page = ask(asked)
    for sentence in page.incomplete:
        typer.echo(f"incomplete: {sentence}", err=True)
    yield page
    while page.next is not None:
        page = ask([*asked, ("next", page.next)])
        yield page


def _follow(ask: Ask, filters: Pairs, status: str | None, size: int, as_json: bool) -> None:
    """The last `size` of the list, then what comes and changes. A server that is away is asked until it is back."""
    following = Following()
    statuses = status.split(",") if status is not None else []
    left_out = others(statuses, STATUSES)
    rest = [*(pair for pair in filters if pair[0] != "status"), ("status", ",".join(left_out))]
    looked_at_s = time.monotonic()
    first = ask([*filters, ("size", str(size))])
    try:
        _tell(following.news(first.instances), as_json)
        away = False
        while True:
            time.sleep(_LOOK_EVERY_S)
            began_s = time.monotonic()
            changed = ("changed_since", f"{int((began_s - looked_at_s + _OVERLAP_S) * 1_000)}ms")
            at_once = ("size", str(_CHANGES_AT_ONCE))
            try:
                for page in _pages(ask, [*filters, changed, at_once]):
                    _tell(following.news(page.instances), as_json)
                if left_out and following.any_told:
                    _tell(following.news(ask([*rest, changed, at_once]).instances, told_only=True), as_json)
            except RemoteRefused as error:
                if error.problem.status not in (410, 429, 503):
                    raise
                away = _away(away, error)
                continue
            except CommandFailed as error:
                away = _away(away, error)
                continue
            looked_at_s, away = began_s, False
    except KeyboardInterrupt:
        return


def _away(said: bool, error: CommandFailed) -> bool:
    """Says once that there is no answer."""
    if not said:
        typer.echo(f"{error}; asking again", err=True)
    return True


def _tell(instances: Iterable[FoundInstance], as_json: bool) -> None:
    """A line an instance."""
    for one in instances:
        if as_json:
            typer.echo(msgspec.json.encode(one).decode())
        else:
            why = f"  {one.error.type}: {one.error.message}" if one.error is not None else ""
            took = f"  {one.duration_ms} ms" if one.duration_ms is not None else ""
            typer.echo(f"{written(when(one))}  {one.instance_id}  {one.workflow}  {one.status}{took}{one_line(why)}")


def _show(page: InstanceList, as_json: bool) -> None:
    if as_json:
        typer.echo(printed(page))
        return
    for one in page.instances:
        _lines(one)
    at_least = "at least " if page.total.relation == "gte" else ""
    typer.echo(f"{len(page.instances)} of {at_least}{page.total.value}")
    for sentence in page.incomplete:
        typer.echo(f"incomplete: {sentence}")
    if page.next is not None:
        typer.echo(f"there are more: --next {page.next}")


def _lines(one: FoundInstance) -> None:
    """A line, short enough for 80 columns, and the error on the next: a sentence is too long for a column."""
    took = "" if one.duration_ms is None else f", {one.duration_ms} ms"
    typer.echo(f"{one.instance_id}  {written(one.created_at_ms)}  {one.status:<10}  {one.workflow}{took}")
    if one.error is not None:
        typer.echo(one_line(f"  {one.error.type}: {one.error.message}"))
