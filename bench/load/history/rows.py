"""Rows of finished instances, by the hundred thousand: one in ten is made by the machine and the rows' own makers.

The others are copies of its bytes with an id, a number, times and words of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import msgspec
from msgspec import Struct

from ....claim.wire import ErrorInfo
from ....core.history_rows import instance_row, instance_row_id, step_row
from ....core.ids import new_instance_id
from ....core.lanes import codec
from ....core.machine import Claimed, Completed, Started, advance, new_instance
from ....core.machine.events import AnyEvent, AttemptEnded, AttemptRecord, CancelRequested, Failed
from ....definitions import load
from ....definitions.plan import Plan

BLOCK = 100
WORKFLOWS = ("alert-triage", "log-digest", "host-isolation", "report", "case-sync", "rule-check", "backfill", "sweep")
TENANTS = tuple(f"tenant-{number}" for number in range(20))
TEAMS = ("soc", "platform", "billing", "search", "edge")
# In one row of a hundred.
RARE_WORD = "quarantined"

_STEP = "work"
_DEFINITION = """\
name: {name}
version: {version}
steps:
  - {{name: work, executor: bench, input: {{n: "{{{{ inputs.n }}}}", message: "{{{{ inputs.message }}}}"}}}}
outputs: {{n: "{{{{ steps.work.result.n }}}}"}}
"""
# Stand for what differs from row to row, and are found nowhere else in one.
_ID = "00-" + "f" * 28
_NUMBER = 987_654_321_987
_MESSAGE = "words that stand for others"
_CREATED_MS = 1_700_000_000_111
_LANES = ("00", "01", "02", "03")
_STATUSES = ("succeeded",) * 90 + ("failed",) * 7 + ("cancelled",) * 3


class Traits(Struct, frozen=True):
    """What a search may ask an instance for."""

    workflow: str
    tenant: str
    status: str
    team: str


class Finished(Struct, frozen=True):
    """An instance's row and that of its step, each with its id."""

    id: str
    row: bytes
    step_id: str
    step_row: bytes
    traits: Traits
    created_ms: int
    rare: bool


class RowModel:
    """One finished instance, with everything that its copies have in common with it: how long it took, too."""

    def __init__(self, plan: Plan, traits: Traits, queue_ms: int, run_ms: int) -> None:
        instance = new_instance(
            plan,
            id=_ID,
            definition_tenant="default",
            tenant=traits.tenant,
            space="default",
            inputs={"n": _NUMBER, "message": _MESSAGE},
            trigger={},
            at_ms=_CREATED_MS,
            labels={"team": traits.team},
            started_by="bench",
            correlation_id=f"batch-{_NUMBER}",
        )
        log: list[bytes] = []
        ended: tuple[AttemptRecord, object] | None = None
        self._moments_ms = (_CREATED_MS, _CREATED_MS + queue_ms, _CREATED_MS + queue_ms + run_ms)
        for event in _events(traits.status, self._moments_ms):
            transition = advance(instance, plan, event)
            assert transition.refused is None, transition.refused
            instance = transition.instance
            log.append(codec.encode(event))
            for effect in transition.effects:
                if isinstance(effect, AttemptEnded):
                    ended = effect.record, effect.output
        assert ended is not None
        assert instance.status.value == traits.status
        self.traits = traits
        self._row = instance_row(instance, log, 0)
        self._step_row = step_row(instance, ended[0], {"n": _NUMBER, "message": _MESSAGE}, ended[1])
        assert instance_row_id(instance) == _ID

    def copy(self, id: str, number: int, created_ms: int, words: str) -> Finished:
        """The rows of another instance."""
        later_ms = created_ms - _CREATED_MS
        times = [mark for at_ms in self._moments_ms for mark in _times(at_ms, at_ms + later_ms)]
        marks = [(_ID, id), (str(_NUMBER), str(number)), (_MESSAGE, words), *times]
        row, of_step = _replaced(self._row, marks), _replaced(self._step_row, marks)
        return Finished(id, row, f"{id}:{_STEP}:1", of_step, self.traits, created_ms, RARE_WORD in words)


def finished_rows(count: int, *, first: int, from_ms: int, to_ms: int, seed: str) -> Iterator[Finished]:
    """So many, in the order in which they were started."""
    random = Random(seed)
    plans = {name: _plan(name) for name in WORKFLOWS}
    for at in range(0, count, BLOCK):
        models = [
            RowModel(plans[traits.workflow], traits, random.randint(1, 90), 100 + int(random.expovariate(1 / 400)))
            for traits in _some_traits(random)
        ]
        for number in range(at, min(at + BLOCK, count)):
            created_ms = from_ms + (to_ms - from_ms) * number // count
            id = new_instance_id(random.choice(_LANES), created_ms, random)
            yield random.choice(models).copy(id, first + number, created_ms, _words(random))


def _events(status: str, moments_ms: tuple[int, int, int]) -> tuple[AnyEvent, ...]:
    created_ms, started_ms, finished_ms = moments_ms
    begun = (Started(created_ms), Claimed(started_ms, _STEP, 30_000, "bench-worker-1"))
    # The first lease of an instance.
    token = 1
    if status == "failed":
        error = ErrorInfo("http.503", f"the service answered 503: {_MESSAGE}")
        return *begun, Failed(finished_ms, _STEP, token, error, retryable=False)
    if status == "cancelled":
        return *begun, CancelRequested(finished_ms, "bench")
    return *begun, Completed(finished_ms, _STEP, token, {"n": _NUMBER, "ok": True})


def _plan(name: str) -> Plan:
    (definition,) = load(_DEFINITION.format(name=name, version=1).encode())
    return definition.compile()


def _some_traits(random: Random) -> list[Traits]:
    """Ten kinds for one block: large tenants and common workflows come more often."""
    return [
        Traits(_skewed(random, WORKFLOWS), _skewed(random, TENANTS), random.choice(_STATUSES), random.choice(TEAMS))
        for _ in range(10)
    ]


def _skewed(random: Random, among: tuple[str, ...]) -> str:
    return among[int(len(among) * random.random() ** 2)]


def _words(random: Random) -> str:
    words = [f"{_SYLLABLES[w % 16]}{_SYLLABLES[w // 16 % 16]}{w}" for w in (_skewed_number(random) for _ in range(10))]
    return " ".join([*words, RARE_WORD] if random.random() < 0.01 else words)


def _skewed_number(random: Random) -> int:
    return int(5_000 * random.random() ** 3)


_SYLLABLES = ("ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "za")


def _times(mark_ms: int, at_ms: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """A time as rows have it, and as the instance in them has it."""
    return (_iso(mark_ms), _iso(at_ms)), (str(mark_ms), str(at_ms))


def _iso(at_ms: int) -> str:
    return msgspec.json.encode(datetime.fromtimestamp(at_ms / 1_000, UTC)).decode()


def _replaced(row: bytes, marks: list[tuple[str, str]]) -> bytes:
    for mark, value in marks:
        row = row.replace(mark.encode(), value.encode())
    return row
