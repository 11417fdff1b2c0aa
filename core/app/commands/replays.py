"""`leasehold instances replay` and `leasehold workflows check`: would the past have been the same?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ....claim.errors import needs
from ....claim.wire import DefinitionView, RecordingList, RecordingView, ReplayView
from .blueprints import BlocksOption, SetOption, ValuesOption, definitions_of, expansion_of, read
from .failures import CommandFailed
from .remote import DEFAULT_SERVER, JsonOption, Remote, ServerOption, SpaceOption, TenantOption, printed, segment

if TYPE_CHECKING:
    from ....definitions import Definition, Plan

_PAGE = 50
_SHOWN = 5
_AGAINST = re.compile(r"last:([1-9][0-9]{0,5})", re.ASCII)


def replay(
    instance_id: Annotated[str, typer.Argument(metavar="ID", help="The instance's id.")],
    definition: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A definition to compare with, stored or not; - reads stdin.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Another stored version to compare with.")] = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run an instance's events through the machine once more, under its own version or another definition.

    Exits with 1 if its past would have been another.
    """
    if definition is not None and version is not None:
        raise CommandFailed("--definition and --version are both given; name one of them")
    path = f"/_workflows/_instances/{segment(instance_id)}/_replay"
    remote = Remote(server, tenant, space)
    if definition is not None:
        view = remote.ask("POST", path, ReplayView, body=read(definition), content_type="application/yaml")
    else:
        view = remote.ask("GET", path, ReplayView, query={"version": str(version)} if version is not None else None)
    typer.echo(printed(view) if as_json else _in_words(view))
    if not view.same:
        raise typer.Exit(1)


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file; - reads standard input.")],
    against: Annotated[
        str, typer.Option(metavar="last:N", help="Which instances: the N of that name that ended last.")
    ] = "last:1000",
    settings: SetOption = None,
    values: ValuesOption = None,
    blocks: BlocksOption = None,
    server: ServerOption = DEFAULT_SERVER,
    tenant: TenantOption = None,
    space: SpaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and differences as JSON.")] = False,
) -> None:
    """Replay instances that have ended under the definition in FILE: would any of them have gone another way?

    Exits with 1 if one would, for CI. Nothing is stored.
    """
    match = _AGAINST.fullmatch(against)
    if match is None:
        raise CommandFailed(f"--against is {against!r}; write it as last:1000")
    with needs("server", "this command"):
        found = definitions_of(file, expansion_of(settings, values, blocks))
    if not isinstance(found, list):
        raise CommandFailed(f"{file} is not valid:\n{found}")
    remote = Remote(server, tenant, space)
    checked = [_Check(remote, definition).run(int(match[1])) for definition in found]
    if as_json:
        typer.echo(printed([check.summary() for check in checked]))
    else:
        for each in checked:
            typer.echo("\n".join(each.words()))
    if any(each.differences for each in checked):
        raise typer.Exit(1)


class _Check:
    """Replays the last instances of one workflow under a definition that is not stored."""

    def __init__(self, remote: Remote, definition: Definition) -> None:
        self._remote = remote
        self._name = definition.name
        self._version = definition.version
        self._plan = definition.compile()
        self._own: dict[int, Plan] = {}
        self.counts: Counter[str] = Counter()
        self.differences: list[dict[str, Any]] = []

    def run(self, last: int) -> _Check:
        from ....core.replay import Recording, compare

        for view in self._recordings(last):
            recording = msgspec.json.decode(view.recording, type=Recording)
            replayed = compare(recording, self._plan_of(view.version), self._plan)
            if replayed.missing:
                self.counts["incomplete"] += 1
            elif replayed.difference is None:
                self.counts["same"] += 1
            else:
                self.counts["differ"] += 1
                fields = {"instance_id": view.instance_id, "version": view.version}
                self.differences.append({**fields, "difference": str(replayed.difference)})
        return self

    def summary(self) -> dict[str, Any]:
        counts = {kind: self.counts[kind] for kind in ("same", "differ", "incomplete")}
        return {"workflow": self._name, "version": self._version, **counts, "differences": self.differences}

    def words(self) -> Iterator[str]:
        replayed = sum(self.counts.values())
        yield (
            f"{self._name}: {replayed} instances replayed under version {self._version}: {self.counts['same']} have "
            f"the same past, {self.counts['differ']} differ, {self.counts['incomplete']} have a gap in their history"
        )
        for each in self.differences[:_SHOWN]:
            yield f"  {each['instance_id']} (version {each['version']}): {each['difference']}"
        if len(self.differences) > _SHOWN:
            yield f"  and {len(self.differences) - _SHOWN} more; --json has them all"

    def _recordings(self, last: int) -> Iterator[RecordingView]:
        after: str | None = None
        while last > 0:
            query = {"size": str(min(last, _PAGE)), **({"after": after} if after is not None else {})}
            page = self._remote.ask("GET", f"/_workflows/{segment(self._name)}/_recordings", RecordingList, query=query)
            yield from page.recordings[:last]
            last -= len(page.recordings)
            after = page.next
            if after is None:
                return

    def _plan_of(self, version: int) -> Plan:
        if version not in self._own:
            from ....definitions import load

            query = {"version": str(version)}
            view = self._remote.ask("GET", f"/_workflows/{segment(self._name)}", DefinitionView, query=query)
            (definition,) = load(view.source, managed=True)
            self._own[version] = definition.compile()
        return self._own[version]


def _in_words(view: ReplayView) -> str:
    which = f"{view.instance_id} ({view.workflow} version {view.version})"
    if view.missing:
        return f"{which} can't be replayed; history no longer has: {'; '.join(view.missing)}"
    if view.difference is None:
        return f"{which}: the same past under version {view.replayed_version}, {view.events} events"
    share = "" if view.difference.instance_id == view.instance_id else f"in {view.difference.instance_id}, "
    return f"{which} differs under version {view.replayed_version}: {share}{view.difference.message}"
