"""What follows from what has happened in a turn, until nothing more does.

Steps that are done let their dependents go on, and finish the block that they stand in; one that failed for good fails
it. A finished or failed block is news for the step that it belongs to, which may be done or fail in turn. An instance
that is ending goes on with winding down.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...claim.wire import ErrorInfo
from ...definitions.plan import Block, While
from .attempts.activation import activate, dependencies_done, is_done
from .ending.cancelling import cancel_open
from .ending.compensation import proceed, undone
from .ending.finishing import conclude, end_well, fail_instance
from .ending.undoing import is_undo
from .flow.branches import branch_done, branch_failed
from .flow.ends import fail, failed_inside
from .flow.loops import iterate
from .flow.shares import item_done, item_failed
from .seeing.visible import owner_path
from .state import StepState, StepStatus
from .table import FAIL_INSIDE, HANDLED
from .turn import Turn

# Where the definition's own closing steps run; no step's name holds an underscore.
_CLOSING = ("on_failure.", "on_cancel.")


def settle(turn: Turn) -> None:
    """Do all that follows from the event, then say what the instance is."""
    follow(turn)
    conclude(turn)
    while turn.ending is not None and not turn.ended:
        proceed(turn)
        if not (turn.ended or turn.unsettled):
            return
        follow(turn)


def follow(turn: Turn) -> None:
    """Work off what the turn has noted, which grows meanwhile: ends, errors and new blocks before steps that are done.

    Modules note and this loop calls, so no depth of blocks is a depth of Python's stack.
    """
    while not turn.ended:
        if turn.spent is not None:
            spent, turn.spent = turn.spent, None
            fail_instance(turn, spent)
        elif turn.succeeded:
            end_well(turn)
        elif turn.failed:
            _failed(turn, *turn.failed.pop(0))
        elif turn.entering:
            _enter(turn, *turn.entering.pop(0))
        elif turn.followed < len(turn.done):
            turn.followed += 1
            _done(turn, turn.done[turn.followed - 1])
        elif turn.childless:
            _begin_after_children(turn, turn.childless.pop())
        else:
            return


def _enter(turn: Turn, block: Block, prefix: str) -> None:
    """The block's steps come into being, and its first ones begin, unless what they stand in has ended meanwhile."""
    if not _is_open(turn, block, prefix):
        return
    for name in block.names:
        turn.put(prefix + name, StepState(attempt=turn.attempts_before(prefix + name)))
    for name in block.roots:
        if not turn.ended and _is_pending(turn, prefix + name):
            activate(turn, prefix + name)


def _is_open(turn: Turn, block: Block, prefix: str) -> bool:
    if block.role == "item":
        return turn.ending is None
    if not block.owner:
        return True
    owner = turn.steps.get(owner_path(block, prefix))
    return owner is not None and owner.status is StepStatus.WAITING


def _begin_after_children(turn: Turn, path: str) -> None:
    """The step is to be done again, and the last child of the time before has ended."""
    if not _is_pending(turn, path) or turn.ending is not None or turn.paused:
        return
    step = turn.step(path)
    if dependencies_done(turn, step, step.prefix_of(path)):
        activate(turn, path)


def _is_pending(turn: Turn, path: str) -> bool:
    state = turn.steps.get(path)
    return state is not None and state.status is StepStatus.PENDING


def _done(turn: Turn, path: str) -> None:
    step = turn.step(path)
    if turn.ending is not None and is_undo(step.name):
        undone(turn, path, "succeeded" if turn.steps[path].status is StepStatus.SUCCEEDED else "skipped")
        return
    block = step.block
    prefix = step.prefix_of(path)
    if turn.ending is not None and not path.startswith(_CLOSING):
        return
    for name in step.dependents:
        dependent = prefix + name
        if _is_pending(turn, dependent) and dependencies_done(turn, turn.step(dependent), prefix):
            if turn.paused:
                continue
            activate(turn, dependent)
            if turn.ended:
                return
    if block is not None and block.role != "main" and not turn.paused:
        _finish_block(turn, block, prefix)


def _finish_block(turn: Turn, block: Block, prefix: str) -> None:
    """The owner goes on if all steps of its block are done."""
    states = [turn.steps.get(prefix + name) for name in block.names]
    if not all(state is not None and is_done(state) for state in states):
        return
    if block.role == "item":
        item_done(turn, prefix)
        return
    if not block.owner:
        return
    owner = owner_path(block, prefix)
    state = turn.steps.get(owner)
    if state is None or state.status is not StepStatus.WAITING:
        return
    if block.role == "handler":
        turn.move(owner, HANDLED, handled=True, finished_at_ms=turn.at_ms)
        turn.done.append(owner)
    elif block.role == "iteration":
        assert state.flow is not None
        if prefix == f"{owner}[{state.flow.iteration - 1}].":
            iterate(turn, owner, turn.step(owner))
    else:
        branch_done(turn, owner, turn.step(owner))


def _failed(turn: Turn, path: str, error: ErrorInfo) -> None:
    """A step has failed for good, and nothing that its definition says takes that up."""
    step = turn.step(path)
    if is_undo(step.name):
        undone(turn, path, "failed")
        return
    block = step.block
    prefix = step.prefix_of(path)
    if block is None or block.role == "main":
        fail_instance(turn, failed_inside(path, error))
    elif block.role == "item":
        fatal = item_failed(turn, prefix, path, error)
        if fatal is not None:
            fail_instance(turn, fatal)
    elif not block.owner:
        # A closing step: the instance ends as it was to end, and its own error stands.
        cancel_open(turn, prefix, error)
    else:
        _fail_owner(turn, block, prefix, path, error)


def _fail_owner(turn: Turn, block: Block, prefix: str, path: str, error: ErrorInfo) -> None:
    owner = owner_path(block, prefix)
    state = turn.steps.get(owner)
    if state is None or state.status is not StepStatus.WAITING:
        return
    inside = failed_inside(path, error)
    if block.role == "handler":
        cancel_open(turn, prefix, error)
        flow = replace(state.flow, handling=False) if state.flow is not None else None
        turn.move(owner, FAIL_INSIDE, error=inside, flow=flow, finished_at_ms=turn.at_ms)
        turn.failed.append((owner, inside))
    elif isinstance(turn.step(owner).flow, While):
        fail(turn, owner, inside)
    else:
        branch_failed(turn, owner, turn.step(owner), prefix, path, error)
