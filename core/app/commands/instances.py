"""`leasehold instances`: start, look, decide, steer."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ....claim.wire import (
    DecisionBody,
    Explanation,
    FailedList,
    InstanceView,
    ReasonBody,
    RetryBody,
    RetryResults,
    SignalBody,
    StartAnswer,
    StartBody,
)
from .failures import CommandFailed, SentenceGroup
from .pairs import pairs_of
from .remote import (
    DEFAULT_SERVER,
    JsonOption,
    Remote,
    RolesOption,
    ServerOption,
    SpaceOption,
    TenantOption,
    printed,
    segment,
)
from .shown import show_instance, tell_causes, written

app = typer.Typer(
    help="Start instances, look at them, decide about them, and steer them.", no_args_is_help=True, cls=SentenceGroup
)

InstanceArgument = Annotated[str, typer.Argument(metavar="ID", help="The instance's id.")]
FormOption = Annotated[
    list[str] | None,
    typer.Option("--form", metavar="K=V", help="A field of the approval's form; V is read as JSON, else as text."),
]
CommentOption = Annotated[str | None, typer.Option(help="Kept with the decision.")]
StepOption = Annotated[str | None, typer.Option(help="Which step, where several wait for a decision.")]
WorkflowOption = Annotated[str | None, typer.Option(help="Of this workflow only.")]
SinceOption = Annotated[str | None, typer.Option(help="That failed no longer ago than this, such as 1h.")]
ErrorTypeOption = Annotated[str | None, typer.Option("--error-type", help="That failed with this error type.")]
LabelOption = Annotated[str | None, typer.Option(metavar="K=V", help="That have this label.")]
ReasonOption = Annotated[str | None, typer.Option(help="Kept with the instance.")]


@app.command()
def start(
    name: Annotated[str, typer.Argument(help="The workflow's name.")],
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="K=V", help="An input; V is read as JSON, else as text."),
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", metavar="K=V", help="A label to search by.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: a repeat starts nothing.")] = None,
    version: Annotated[int | None, typer.Option(help="A version other than the active one.")] = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start an instance of workflow NAME."""
    params = {name: _json_or_text(value) for name, value in pairs_of("--param", param).items()}
    body = StartBody(params=params, labels=pairs_of("--label", label), version=version)
    answer = Remote(server, tenant, space).ask(
        "POST",
        f"/_workflows/{segment(name)}/_start",
        StartAnswer,
        headers={"Idempotency-Key": key} if key is not None else None,
        body=msgspec.json.encode(body),
    )
    typer.echo(printed(answer) if as_json else answer.instance_id)


@app.command()
def show(
    instance_id: InstanceArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an instance and its steps."""
    view = Remote(server, tenant, space).ask("GET", f"/_workflows/_instances/{segment(instance_id)}", InstanceView)
    show_instance(view, as_json)


@app.command()
def explain(
    instance_id: InstanceArgument,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why an instance waits, and what to do about it."""
    path = f"/_workflows/_instances/{segment(instance_id)}/_explain"
    answer = Remote(server, tenant, space).ask("GET", path, Explanation)
    if as_json:
        typer.echo(printed(answer))
        return
    typer.echo(f"{answer.instance_id}  {answer.workflow}  {answer.status}")
    tell_causes(answer, "")


def _decision(verdict: str, help: str) -> None:
    """A command that decides on a step."""

    @app.command(verdict, help=help)
    def decide(
        instance_id: InstanceArgument,
        step: StepOption = None,
        comment: CommentOption = None,
        form: FormOption = None,
        server: ServerOption = DEFAULT_SERVER,
        tenant: TenantOption = None,
        space: SpaceOption = None,
        roles: RolesOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _decide(f"_{verdict}", instance_id, step, comment, form, Remote(server, tenant, space, roles), as_json)


def _order(word: str, help: str) -> None:
    """A command that tells an instance something, with a reason."""

    @app.command(word, help=help)
    def order(
        instance_id: InstanceArgument,
        reason: ReasonOption = None,
        server: ServerOption = DEFAULT_SERVER,
        tenant: TenantOption = None,
        space: SpaceOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _tell(f"_{word}", instance_id, reason, Remote(server, tenant, space), as_json)


_decision("approve", "Approve the step that waits for it.")
_decision("reject", "Reject the step that waits for approval.")
_order("cancel", "Cancel an instance: what is open ends, and executors are told at their next heartbeat.")
_order("terminate", "End an instance at once, without compensation.")
_order("pause", "Pause an instance: nothing of it can be claimed; attempts in progress go on.")
_order("resume", "End a pause.")


@app.command()
def skip(
    instance_id: InstanceArgument,
    step: Annotated[str, typer.Option(help="The step's run path, such as reason or each-host[17].scan.")],
    reason: ReasonOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Skip a step: it counts as done without a result."""
    _tell("_skip", instance_id, reason, Remote(server, tenant, space), as_json, {"step": step})


@app.command()
def signal(
    instance_id: InstanceArgument,
    name: Annotated[str, typer.Argument(help="The signal's name.")],
    payload: Annotated[str | None, typer.Option(help="Read as JSON, else as text.")] = None,
    reason: ReasonOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a signal: it wakes who waits for it, and is kept where nobody does yet."""
    body = SignalBody(payload=None if payload is None else _json_or_text(payload), reason=reason)
    path = f"/_workflows/_instances/{segment(instance_id)}/_signal/{segment(name)}"
    view = Remote(server, tenant, space).ask("POST", path, InstanceView, body=msgspec.json.encode(body))
    show_instance(view, as_json)


@app.command()
def failed(
    workflow: WorkflowOption = None,
    since: SinceOption = None,
    error_type: ErrorTypeOption = None,
    label: LabelOption = None,
    size: Annotated[int, typer.Option(help="How many at most.")] = 100,
    after: Annotated[str | None, typer.Option(help="What the page before named as the next.")] = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the instances that ended failed and were not brought back since, newest first."""
    query = {**_which(workflow, since, error_type, label), "size": str(size)}
    if after is not None:
        query["after"] = after
    answer = Remote(server, tenant, space).ask("GET", "/_workflows/_failed", FailedList, query=query)
    if as_json:
        typer.echo(printed(answer))
        return
    table = Table(Column("instance", no_wrap=True), "workflow", "failed", "error")
    for one in answer.instances:
        why = "" if one.error is None else f"{one.error.type}: {one.error.message}"
        table.add_row(one.instance_id, f"{one.workflow} version {one.version}", written(one.failed_at_ms), escape(why))
    Console().print(table)
    if answer.next is not None:
        typer.echo(f"there are more: --after {answer.next}")


@app.command()
def retry(
    instance_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The instance's id.")] = None,
    all_failed: Annotated[
        bool, typer.Option("--failed", help="Those that ended failed, by the options below, in place of one.")
    ] = False,
    workflow: WorkflowOption = None,
    since: SinceOption = None,
    error_type: ErrorTypeOption = None,
    label: LabelOption = None,
    at_most: Annotated[int, typer.Option("--max", help="With --failed: how many at most, the newest first.")] = 100,
    step: Annotated[str | None, typer.Option(help="This step and what follows it, by its run path.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Everything, from the first steps on.")] = False,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="K=V", help="A changed input; V is read as JSON, else as text."),
    ] = None,
    reason: ReasonOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do the failed steps of an instance again; one that has ended is brought back under its own id."""
    params = {name: _json_or_text(value) for name, value in pairs_of("--param", param).items()} or None
    remote = Remote(server, tenant, space)
    which = _which(workflow, since, error_type, label)
    if all_failed and instance_id is None and step is None:
        body = {**which, "max": at_most, "from_start": from_start, "params": params, "reason": reason}
        answer = remote.ask("POST", "/_workflows/_failed/_retry", RetryResults, body=msgspec.json.encode(body))
        _show_results(answer, as_json)
    elif instance_id is not None and not all_failed and not which:
        order = RetryBody(step=step, from_start=from_start, params=params, reason=reason)
        path = f"/_workflows/_instances/{segment(instance_id)}/_retry"
        show_instance(remote.ask("POST", path, InstanceView, body=msgspec.json.encode(order)), as_json)
    else:
        raise CommandFailed(
            "name one instance (and a --step if you like), or many: --failed with --workflow, --since, --error-type"
            " or --label"
        )


def _which(workflow: str | None, since: str | None, error_type: str | None, label: str | None) -> dict[str, str]:
    given = {"workflow": workflow, "since": since, "error_type": error_type, "label": label}
    return {name: value for name, value in given.items() if value is not None}


def _show_results(answer: RetryResults, as_json: bool) -> None:
    if as_json:
        typer.echo(printed(answer))
    else:
        for result in answer.results:
            typer.echo(f"{result.instance_id}  {result.problem.detail if result.problem else result.status}")
    refused = sum(result.problem is not None for result in answer.results)
    if refused:
        raise CommandFailed(f"{refused} of {len(answer.results)} instances were not brought back")


def _decide(
    action: str,
    instance_id: str,
    step: str | None,
    comment: str | None,
    form: list[str] | None,
    remote: Remote,
    as_json: bool,
) -> None:
    values = {name: _json_or_text(value) for name, value in pairs_of("--form", form).items()} or None
    view = remote.ask(
        "POST",
        f"/_workflows/_instances/{segment(instance_id)}/{action}",
        InstanceView,
        query={"step": step} if step is not None else None,
        body=msgspec.json.encode(DecisionBody(comment, values)),
    )
    show_instance(view, as_json)


def _tell(
    action: str,
    instance_id: str,
    reason: str | None,
    remote: Remote,
    as_json: bool,
    query: dict[str, str] | None = None,
) -> None:
    path = f"/_workflows/_instances/{segment(instance_id)}/{action}"
    body = msgspec.json.encode(ReasonBody(reason=reason))
    show_instance(remote.ask("POST", path, InstanceView, query=query, body=body), as_json)


def _json_or_text(value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
