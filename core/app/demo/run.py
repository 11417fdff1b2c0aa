"""The story, in order. Whatever it starts ends with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from ....claim.wire import DefinitionStored, InstanceView
from ...embedded import EmbeddedElasticsearch
from ..commands.failures import CommandFailed
from ..commands.remote import Remote, segment
from .processes import Command, DemoFailed, wait_for
from .screen import Screen
from .triage import Asked, Ended, approve, attempts_made, finished_attempts, follow, portions, start

EXAMPLES = Path(__file__).parents[3] / "examples"
CAPABILITIES = "es-index,es-query,render"

_START_WITHIN_S = 60.0
_ROWS_WITHIN_S = 30.0


class Ground(Struct, frozen=True):
    """What the demonstration runs on: addresses, and the processes to watch."""

    elasticsearch: str
    server: str
    folder: Path
    replica: Command
    worker: Command

    @property
    def remote(self) -> Remote:
        return Remote(self.server)

    def check(self) -> None:
        """Raises: DemoFailed when a process has ended by itself."""
        self.replica.check()
        self.worker.check()


class Outcome(Struct, frozen=True):
    instance_ids: list[str]
    attempts: int


def demonstrate(screen: Screen, after: Callable[[Ground, Outcome], None]) -> None:
    """Everything from the first download to the last row, then `after`; then all of it ends. Raises: LeaseholdError."""
    definitions = _examples()
    with ExitStack() as stack:
        elasticsearch = stack.enter_context(EmbeddedElasticsearch())
        screen.say(f"Elasticsearch {elasticsearch.version} answers at {elasticsearch.url}")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leasehold-demo-")))
        ground = _ground(stack, screen, elasticsearch.url, folder)
        try:
            for name, source in definitions.items():
                _store(ground.remote, name, source)
            screen.say(f"definitions stored: {', '.join(definitions)}")
            outcome = _triage(screen, ground, elasticsearch.log_file)
        except CommandFailed:
            # Nobody answers once the replica is gone: that it is gone says more.
            ground.check()
            raise
        after(ground, outcome)


def _examples() -> dict[str, bytes]:
    """The example definitions by name. Raises: DemoFailed."""
    found = {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.yaml"))}
    if not found:
        raise DemoFailed(f"there are no examples in {EXAMPLES}; run this from a checkout of the repository")
    return found


def _ground(stack: ExitStack, screen: Screen, elasticsearch: str, folder: Path) -> Ground:
    variables = {"LEASEHOLD_ES_URL": elasticsearch, "LEASEHOLD_PORT": "0"}
    replica = stack.enter_context(Command("replica", ["serve"], variables, folder))
    with screen.busy("starting a replica: templates, lanes, indices"):
        server = wait_for(
            "the replica", lambda: replica.logged("serving", "address"), within_s=_START_WITHIN_S, check=replica.check
        )
        remote = Remote(server)
        wait_for("a lane", lambda: _owned_lanes(remote), within_s=_START_WITHIN_S, check=replica.check)
    screen.say(f"a replica answers at {server}")
    variables = {"LEASEHOLD_ES_URL": elasticsearch}
    arguments = ["worker", "--capability", CAPABILITIES, "--server", server, "--drain-timeout", "5s"]
    worker = stack.enter_context(Command("worker", arguments, variables, folder))
    screen.say(f"a worker claims {CAPABILITIES}")
    return Ground(elasticsearch, server, folder, replica, worker)


def _owned_lanes(remote: Remote) -> int | None:
    lanes = remote.ask("GET", "/_workflows/_lanes", dict)["lanes"]
    return len(lanes) if lanes and all(lane["mine"] for lane in lanes) else None


def _store(remote: Remote, name: str, source: bytes) -> None:
    remote.ask("PUT", f"/_workflows/{segment(name)}", DefinitionStored, body=source, content_type="application/yaml")


def _triage(screen: Screen, ground: Ground, log_file: Path) -> Outcome:
    """Run the main example on each portion of the log; usually there is one."""
    instance_ids: list[str] = []
    expected = 0
    all_lines = portions(log_file.with_name(f"{log_file.stem}_server.json"))
    for number, lines in enumerate(all_lines, 1):
        of = f", portion {number} of {len(all_lines)}" if len(all_lines) > 1 else ""
        screen.say(f"log-triage, on the {len(lines)} lines that this Elasticsearch has logged so far{of}:")
        index = f"log-triage-{number}"
        instance_id = start(ground.remote, lines, index=index)
        instance_ids.append(instance_id)
        expected += attempts_made(_followed(screen, ground, instance_id))
    rows = wait_for(
        f"the {expected} attempts of this run in workflow-steps",
        lambda: _complete(finished_attempts(ground.elasticsearch, instance_ids), expected),
        within_s=_ROWS_WITHIN_S,
        check=ground.check,
    )
    screen.say("finished attempts, searched for in workflow-steps:")
    screen.attempts(rows)
    return Outcome(instance_ids, len(rows))


def _followed(screen: Screen, ground: Ground, instance_id: str) -> InstanceView:
    for news in follow(ground.remote, instance_id, check=ground.check):
        match news:
            case Ended(step):
                screen.step_ended(step)
            case Asked(step):
                screen.say(f"  waiting    {step.name:<16} for an approval: granted over HTTP", style="yellow")
                approve(ground.remote, instance_id, step.name)
            case view:
                _show_outcome(screen, view)
                return view
    raise DemoFailed(f"instance {instance_id} was not followed to its end")


def _show_outcome(screen: Screen, view: InstanceView) -> None:
    if view.status != "succeeded":
        why = f": {view.error.type}: {view.error.message}" if view.error else ""
        raise DemoFailed(f"instance {view.instance_id} is {view.status}{why}")
    screen.say(f"  instance {view.instance_id} {view.status}, outputs:", style="green")
    screen.report(view.outputs["report"])


def _complete(rows: list[dict[str, object]], expected: int) -> list[dict[str, object]] | None:
    return rows if len(rows) >= expected else None
