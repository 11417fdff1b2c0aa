"""`leasehold ilm`: how history ages, and the policies that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ....claim.wire.lifecycle import LifecycleView, PolicyChanged, PolicyView
from ....ilm.policies import Policy, PolicyInvalid, differences, parse
from ...lifecycle.words import retention, retention_change
from .ageing import as_policy, show_status, told
from .failures import CommandFailed, SentenceGroup
from .remote import DEFAULT_SERVER, JsonOption, Remote, RolesOption, ServerOption, printed, segment

app = typer.Typer(
    help="Look at how history ages, and change the policies that say so, while replicas run.",
    no_args_is_help=True,
    cls=SentenceGroup,
)

FamilyArgument = Annotated[
    str, typer.Argument(metavar="FAMILY", help="What ages together: steps, instances, events or audit.")
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A policy, YAML or JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Also if the audit trail is kept less long by it.")]
RevisionOption = Annotated[
    int | None,
    typer.Option("--revision", min=0, help="Only if the policy stands at this revision; 0: only if it never changed."),
]

_ILM = "/_workflows/_ilm"
_YAML = "application/yaml"
_DIFFERENT, _TROUBLE = 1, 2


@app.command()
def show(
    family: Annotated[
        str | None, typer.Argument(metavar="[FAMILY]", help="steps, instances, events or audit; all without it.")
    ] = None,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the policies in force, as YAML that `apply` takes."""
    remote = Remote(server, roles=roles)
    views = [_policy(remote, family)] if family is not None else remote.ask("GET", _ILM, LifecycleView).policies
    if as_json:
        typer.echo(printed(views[0] if family is not None else views))
        return
    for place, view in enumerate(views):
        if place:
            typer.echo("---")
        typer.echo(f"# {view.family}: {told(view)}")
        if view.policy is not None:
            typer.echo(_yaml(view.policy), nl=False)


@app.command()
def diff(
    family: FamilyArgument,
    file: FileArgument,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
) -> None:
    """Show what `apply` would change, and what that means for how long records are kept. Changes nothing.

    Ends with code 0 where both say the same, with 1 where they differ, and with 2 where they can't be compared.
    """
    try:
        view = _policy(Remote(server, roles=roles), family)
        new = _policy_in(family, _read(file))
    except CommandFailed as error:
        typer.echo(f"leasehold: {error}", err=True)
        raise typer.Exit(_TROUBLE) from None
    old = as_policy(view)
    if old is not None and not differences(old, new):
        typer.echo(f"{file} says the same as the policy of {family} in force")
        return
    _tell_differences(view, new)
    typer.echo(retention_change(old, new))
    raise typer.Exit(_DIFFERENT)


@app.command()
def apply(
    family: FamilyArgument,
    file: FileArgument,
    yes: YesOption = False,
    revision: RevisionOption = None,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the policy of a file in force for a family. It is obeyed within seconds; `status` says what is next."""
    query = _query(yes, revision)
    path = f"{_ILM}/{segment(family)}"
    remote = Remote(server, roles=roles)
    _told(remote.ask("PUT", path, PolicyChanged, query=query, body=_read(file), content_type=_YAML), as_json)


@app.command()
def reset(
    family: FamilyArgument,
    yes: YesOption = False,
    revision: RevisionOption = None,
    server: ServerOption = DEFAULT_SERVER,
    roles: RolesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the default policy in force for a family."""
    query = _query(yes, revision)
    _told(Remote(server, roles=roles).ask("DELETE", f"{_ILM}/{segment(family)}", PolicyChanged, query=query), as_json)


@app.command()
def status(server: ServerOption = DEFAULT_SERVER, roles: RolesOption = None, as_json: JsonOption = False) -> None:
    """Show what is wrong, then each index of history: its phase, its age, what is next and when."""
    view = Remote(server, roles=roles).ask("GET", _ILM, LifecycleView)
    if as_json:
        typer.echo(printed(view))
        return
    show_status(view)


def _policy(remote: Remote, family: str) -> PolicyView:
    return remote.ask("GET", f"{_ILM}/{segment(family)}", PolicyView)


def _query(yes: bool, revision: int | None) -> dict[str, str]:
    query = {"yes": "true"} if yes else {}
    return query if revision is None else query | {"revision": str(revision)}


def _told(changed: PolicyChanged, as_json: bool) -> None:
    if as_json:
        typer.echo(printed(changed))
        return
    after, new = changed.after, as_policy(changed.after)
    assert new is not None
    if not changed.changed:
        typer.echo(f"nothing changed: that is in force for {after.family} already, at revision {after.revision}")
        return
    _tell_differences(changed.before, new)
    typer.echo(f"revision {after.revision} of {after.family} is in force; records are {retention(new)}")


def _tell_differences(view: PolicyView, new: Policy) -> None:
    old = as_policy(view)
    if old is None:
        typer.echo(f"what stood was not obeyed: {view.error}")
        return
    for one in differences(old, new):
        typer.echo(f"{one.path}: {_said(one.old)} -> {_said(one.new)}")


def _said(value: Any) -> str:
    return "absent" if value is None else msgspec.json.encode(value).decode()


def _policy_in(family: str, source: bytes) -> Policy:
    """The policy of a file. Raises: CommandFailed with all that is wrong with it."""
    from ....definitions.source.documents import read_documents

    _, documents, violations = read_documents(source)
    if violations:
        raise CommandFailed(f"line {violations[0].line}: {violations[0].message}")
    if len(documents) != 1 or not isinstance(documents[0].root.value, dict):
        raise CommandFailed("the file holds no policy: a mapping with `phases`")
    try:
        return parse(family, documents[0].root.value)
    except PolicyInvalid as error:
        raise CommandFailed("\n  ".join([str(error), *map(str, error.faults[1:])])) from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}") from None


def _yaml(value: dict[str, Any]) -> str:
    from ....definitions.blueprints.writing import written as as_yaml

    return as_yaml(value)
