"""Whether two states, or what followed from an event in two versions, are the same past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ...claim.wire import ErrorInfo
from ..machine import Instance, StepState, StepStatus, plain
from ..machine.events import AttemptEnded, ChildSteered, Effect, InstanceEnded, LeaseEnded, ReadyEnded, StepReady
from ..machine.state import Approval, Items, SideValue

# What lies ahead, or follows from the definition alone.
_STEP_AHEAD = frozenset({"wake_at_ms", "lease_ttl_ms", "seen", "result_ref", "finished_order"})
_INSTANCE_PAST = (
    *("status", "tokens", "outputs", "error", "usage", "attempts", "vars", "signals", "inbox", "ending", "undone"),
    *("remembered", "queued", "redrives", "finished_at_ms", "inputs", "items"),
)
_GIVEN_TO_A_SHARE = ("inputs", "trigger", "outer", "vars", "signals")
_STEP_PAST = tuple(name for name in StepState.__struct_fields__ if name not in _STEP_AHEAD)


class Unlike(Struct, frozen=True):
    """One field in which two things differ; `path` is the step's, empty for the instance."""

    path: str
    field: str
    recorded: Any
    replayed: Any


def begun(state: StepState | None) -> bool:
    """Whether anything has become of the step; one that was cancelled before its turn has not begun."""
    if state is None or state.status is StepStatus.PENDING:
        return False
    return state.status is not StepStatus.CANCELLED or state.activated_at_ms != 0


def whole(recorded: Instance, replayed: Instance) -> Unlike | None:
    """The first field in which two states of one version differ, of all that are stored but references.

    What a share of a foreach was given by its parent is left out.
    """
    left, right = stored(recorded), stored(replayed)
    if recorded.items is not None:
        for field in _GIVEN_TO_A_SHARE:
            left.pop(field, None)
            right.pop(field, None)
    steps, others = left.pop("steps", {}), right.pop("steps", {})
    for path in dict.fromkeys((*steps, *others)):
        if steps.get(path) != others.get(path):
            return _field(path, steps.get(path, {}), others.get(path, {}))
    return _field("", left, right) if left != right else None


def stored(instance: Instance) -> dict[str, Any]:
    """The instance as JSON has it, side values in full, without references to side documents."""
    fields: dict[str, Any] = msgspec.json.decode(_encoder.encode(instance))
    for holder in (fields, *fields.get("steps", {}).values()):
        for name in [name for name in holder if name.endswith("_ref")]:
            del holder[name]
    # Documents of earlier releases do not say it, or say less: they have counted times only since a newer one ran them.
    fields.pop("backlogged", None)
    fields.pop("times", None)
    for step in fields.get("steps", {}).values():
        step.get("approval", {}).pop("attempt", None)
    if not fields.get("usage"):
        # One that was reset is not left out as the default is.
        fields.pop("usage", None)
    return fields


def past(recorded: Instance, replayed: Instance, paths: Iterable[str]) -> Unlike | None:
    """The first field in which two pasts differ; of the steps at `paths`, which are all that may have changed."""
    for path in paths:
        left, right = recorded.steps.get(path), replayed.steps.get(path)
        if left is right or not (begun(left) or begun(right)):
            continue
        if left is None or right is None or begun(left) is not begun(right):
            return Unlike(path, "status", _status(left), _status(right))
        for field in _STEP_PAST:
            a, b = getattr(left, field), getattr(right, field)
            if a is not b and (unlike := _compared(a, b)):
                return Unlike(path, field, *unlike)
    for field in _INSTANCE_PAST:
        a, b = getattr(recorded, field), getattr(replayed, field)
        if a is not b and (unlike := _compared(a, b)):
            return Unlike("", field, *unlike)
    return None


def followed(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> Unlike | None:
    """The first of two events' consequences, as `consequences` names them, that differs."""
    for key in dict.fromkeys((*recorded, *replayed)):
        if recorded.get(key) != replayed.get(key):
            path, _, field = key.partition(" ")
            return Unlike(path, field, recorded.get(key), replayed.get(key))
    return None


def consequences(effects: Iterable[Effect]) -> Iterator[tuple[str, Any]]:
    """What executors and history get to know of an event, by `<run path> <what>`."""
    for effect in effects:
        if type(effect) is StepReady:
            yield f"{effect.path} executor", effect.capability
            yield f"{effect.path} input", plain(effect.input)
        elif type(effect) is ReadyEnded:
            yield f"{effect.path} withdrawn", True
        elif type(effect) is LeaseEnded:
            yield f"{effect.path} lease ended", effect.token
        elif type(effect) is AttemptEnded:
            record = effect.record
            yield f"{record.path} attempt {record.attempt}", record.outcome
        elif type(effect) is ChildSteered:
            yield f" child {effect.child}", effect.how
        elif type(effect) is InstanceEnded:
            yield " ended", True


def _compared(recorded: Any, replayed: Any) -> tuple[Any, Any] | None:
    left, right = _plainly(recorded), _plainly(replayed)
    return None if left == right else (left, right)


def _plainly(value: Any) -> Any:
    """A field's value as far as it is the past."""
    if isinstance(value, SideValue):
        return value.value
    if isinstance(value, ErrorInfo):
        return value.type
    if isinstance(value, Items):
        return value.finished, {index: error.type for index, error in value.failed.items()}
    if isinstance(value, Approval):
        return msgspec.structs.replace(value, timeout_at_ms=0)
    return value


def _status(state: StepState | None) -> str | None:
    return None if state is None else state.status.value


def _field(path: str, recorded: dict[str, Any], replayed: dict[str, Any]) -> Unlike:
    for field in dict.fromkeys((*recorded, *replayed)):
        if recorded.get(field) != replayed.get(field):
            return Unlike(path, field, recorded.get(field), replayed.get(field))
    return Unlike(path, "", recorded, replayed)


def _side_value(value: Any) -> Any:
    if isinstance(value, SideValue):
        return value.value
    raise NotImplementedError(f"{type(value).__name__} is no JSON value")


_encoder = msgspec.json.Encoder(enc_hook=_side_value)
