"""An instance held in memory by its lane's owner, with what is known of its document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ....claim.wire import Usage
from ....definitions.plan import Plan
from ...machine import render_input
from ...machine.state import FINAL_INSTANCE, Instance
from ...ports import Version
from ...principal import Principal
from .. import codec
from ..codec import Intent, OutboxEntry
from ..tickets import Ticket
from .ready_queue import ReadyStep

Answer = tuple[Ticket, int, Any]


class Outgoing(Struct, gc=False, eq=False):
    """A history record in the outbox: its entry, the entry as the document holds it, and its body if known."""

    entry: OutboxEntry
    encoded: bytes
    row: bytes | None


Named = Sequence[tuple[str, Outgoing]]
"""The outbox as a document names it: record ids, and what stood there then."""


class Pending(Struct, gc=False, eq=False):
    """What is to become of a child, and how far that is: `stored` once the parent's document holds it for good.

    `unsure`: an earlier owner, or an earlier try, may have carried it out. `busy`: it is being carried out.
    """

    intent: Intent
    encoded: bytes
    stored: bool = False
    unsure: bool = False
    busy: bool = False


LOG_PART_BYTES = 16_384
# Above every sequence number.
UNWRITTEN = 2**62


class Resident:
    """One live instance. `version` is None until its first write is acknowledged.

    `changed` says that memory is ahead of the document, `in_flight` that a write of it is on its way: never two.
    `answers` wait for the next write to be acknowledged; `attempted` names the writes sent since the last one that was.
    `written_held` is the `held` of the last document written. `intents` are what it wants of its children, `told` is
    the usage and the attempts that its parent knows of. `heard`: it has ended, and its parent's document says so, or
    nobody asks for it any more. `childless`: it has ended, and none of its children's documents is left.
    `freed` are the run paths of leases that have ended, until that is acknowledged. `charged`: what the tenant was
    charged for each lease that this owner granted, and since when (monotonic milliseconds) it runs.
    `counted`: as what it is counted in quotas of instances (`lanes.quotas.instances`).
    `strays` are side documents that it no longer refers to, the first `strays_stored` of them as its document says.
    `started_by`: who started it, until that stands in the journal of starts (`commits.start_journal`).
    """

    __slots__ = (
        "acknowledged_tokens",
        "acknowledged_write_id",
        "answers",
        "attempted",
        "changed",
        "charged",
        "childless",
        "counted",
        "deletable",
        "freed",
        "heard",
        "id",
        "in_flight",
        "inputs",
        "instance",
        "intents",
        "lane",
        "leases",
        "log",
        "log_bytes",
        "log_parts",
        "outbox",
        "plan",
        "progress",
        "ready",
        "side_writes",
        "started_by",
        "stopped",
        "strays",
        "strays_stored",
        "told",
        "version",
        "wake_at_ms",
        "written_held",
    )

    def __init__(self, lane: Any, instance: Instance, plan: Plan) -> None:
        self.lane = lane
        self.id = instance.id
        self.instance = instance
        self.plan = plan
        self.version: Version | None = None
        self.changed = False
        self.in_flight = False
        self.deletable = False
        self.answers: list[Answer] = []
        self.acknowledged_write_id = ""
        self.acknowledged_tokens = 0
        self.attempted: tuple[str, ...] = ()
        self.log: list[bytes] = []
        self.log_bytes = 0
        self.log_parts = 0
        self.outbox: dict[str, Outgoing] = {}
        self.side_writes: tuple[tuple[str, bytes], ...] = ()
        self.ready: dict[str, ReadyStep] = {}
        self.inputs: dict[str, Any] = {}
        self.leases: dict[str, int] = {}
        self.freed: list[str] = []
        self.counted = 0
        self.charged: dict[str, tuple[float, int]] | None = None
        self.progress: dict[str, tuple[float | None, str | None]] | None = None
        self.stopped: dict[str, tuple[int, str]] | None = None
        self.wake_at_ms = 0
        self.written_held = False
        self.intents: list[Pending] = []
        self.told: tuple[Usage, int] | None = None
        self.heard = False
        self.strays: list[str] = []
        self.strays_stored = 0
        self.childless = False
        self.started_by: Principal | None = None

    @property
    def ready_key(self) -> tuple[int, int]:
        """Where the instance stands among the ready ones of its lane: by rank, then by its document's place there.

        What is still to be written will come behind all that stands.
        """
        steps = self.ready.values()
        rank = min(step.rank for step in steps) if len(steps) > 1 else next(iter(steps)).rank
        if self.version is None or self.changed or self.in_flight:
            return rank, UNWRITTEN
        return rank, self.version.seq_no

    @property
    def idle(self) -> bool:
        """Whether nothing happens to the instance, so that its document says all there is to know of it."""
        return not (
            self.version is None
            or self.changed
            or self.in_flight
            or self.answers
            or self.side_writes
            or self.leases
            or self.outbox
            or self.intents
            or self.finished
        )

    @property
    def finished(self) -> bool:
        return self.instance.status in FINAL_INSTANCE

    def report_progress(self, path: str, percent: float | None, message: str | None) -> None:
        """What an executor says of its attempt: it is shown, and never stored."""
        if self.progress is None:
            self.progress = {}
        self.progress[path] = (percent, message)

    def input_of(self, instance: Instance, path: str) -> Any:
        """The step's rendered input: remembered, or rendered again as it was in this state of the instance."""
        inputs = self.inputs
        if path not in inputs:
            inputs[path] = render_input(instance, self.plan, path)
        return inputs[path]

    def told_to_stop(self, path: str, token: int, reason: str) -> None:
        """A lease was taken away: its holder is told the reason at its next word, as long as memory has it."""
        if self.stopped is None:
            self.stopped = {}
        self.stopped[path] = (token, reason)

    def put_outbox(self, row_id: str, entry: OutboxEntry, row: bytes | None) -> None:
        """A history record joins the outbox; `row` is its body where it is known already."""
        self.outbox[row_id] = Outgoing(entry, codec.encode_json(entry), row)

    def named_records(self) -> Named:
        """The records that a document written now names."""
        return tuple(self.outbox.items())

    def put_intent(self, intent: Intent, *, stored: bool = False) -> None:
        """A child of the instance is to begin, or to be told."""
        self.intents.append(Pending(intent, codec.encode_json(intent), stored, unsure=stored))

    def append_log(self, entry: bytes) -> None:
        self.log.append(entry)
        self.log_bytes += len(entry)

    def log_part_due(self) -> bool:
        """Whether the log is long enough for a part of it to leave, and none is on its way."""
        return self.log_bytes > LOG_PART_BYTES and not any(
            record.entry.kind == "events" for record in self.outbox.values()
        )

    def drop_log_part(self, count: int) -> None:
        """A part was confirmed in history: its entries leave the document with the next write."""
        self.log_bytes -= sum(len(entry) for entry in self.log[:count])
        del self.log[:count]
        self.log_parts += 1
