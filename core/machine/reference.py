"""`docs/reference/state-machine.md`, drawn from the table.

To write it anew: `python -m leasehold.core.machine.reference > docs/reference/state-machine.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from .state import FINAL_INSTANCE, FINAL_STEP, InstanceStatus, StepStatus
from .table import INSTANCE_MOVES, STEP_MOVES, InstanceMove, StepMove

_HEAD = """\
# The state machine

Drawn from `core/machine/table.py` by `python -m leasehold.core.machine.reference`; a test compares the two. A status
changes by one of these moves or not at all. Final statuses are for good, unless somebody has it done again.
"""

_STEPS = """
## A step

A step starts `pending`. One that is `waiting` waits for an approval, a time, a signal, or for steps or children of its
own; one that is `backing_off` for its next attempt.
"""

_INSTANCES = """
## An instance

An instance starts `running`. It is `running` while any step is ready, claimed or backing off, and `waiting` while only
timers, signals, approvals or children are open. It is `cancelling` while it winds down before it fails or is cancelled.
"""


def reference() -> str:
    """The page as Markdown."""
    return "".join(
        (
            _HEAD,
            _STEPS,
            *_section(STEP_MOVES, StepStatus.PENDING),
            _INSTANCES,
            *_section(INSTANCE_MOVES, InstanceStatus.RUNNING),
        )
    )


def _section(moves: Iterable[StepMove | InstanceMove], first: str) -> Iterable[str]:
    yield "\n| move | from | to | when |\n| --- | --- | --- | --- |\n"
    for move in moves:
        yield f"| {move.cause} | {', '.join(_sources(move))} | {move.target.value} | {move.when} |\n"
    yield f"\n```mermaid\nstateDiagram-v2\n    [*] --> {first}\n"
    targets = set()
    for move in moves:
        targets.add(move.target)
        for source in _sources(move):
            yield f"    {source} --> {move.target.value}: {move.cause}\n"
    for status in sorted(targets & (FINAL_STEP | FINAL_INSTANCE)):
        yield f"    {status.value} --> [*]\n"
    yield "```\n"


def _sources(move: StepMove | InstanceMove) -> list[str]:
    """In the order in which the statuses are declared: that of a set differs from process to process."""
    return [status.value for status in type(move.target) if status in move.sources]


if __name__ == "__main__":
    sys.stdout.write(reference())
