"""Stand-ins for executors: which one a step gets, and what it is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...claim.errors import StepFailed
from ...claim.wire import Call, HeartbeatAnswer, Usage
from ...definitions.plan import StepPlan
from .errors import NoStub, PlayError
from .outcomes import NOBODY, Failure

Stub = Any
"""A function of a `StubStep`; or a list of outcomes, one an attempt in the order of the claims; or one outcome for
every attempt; or `NOBODY`.

An outcome is a result, a `Delivery`, a `Failure`, `NO_ANSWER`, `RELEASED`, or a `Takes` around one of these. A function
may also raise, as an executor's function would, or be a generator: it yields durations that pass, and returns the
outcome.
"""

Beat = Callable[[Any, Usage | None, Sequence[Call]], HeartbeatAnswer]


@dataclass(frozen=True, slots=True)
class StubStep:
    """An attempt as its stub sees it. `payload` is the step's rendered `input`, `with_` its further keys.

    `checkpoint` is the last one that this attempt or one before it saved.
    """

    name: str
    run_path: str
    capability: str
    attempt: int
    token: int
    instance_id: str
    payload: Any
    with_: dict[str, Any]
    checkpoint: Any
    permissions: tuple[str, ...]
    labels: Mapping[str, str]
    _beat: Beat = field(repr=False)

    def heartbeat(
        self, *, checkpoint: Any = None, usage: Usage | None = None, calls: Sequence[Call] = ()
    ) -> HeartbeatAnswer:
        """Report as an executor does under way; the answer's `cancel` and `reason` say whether to stop, and why."""
        return self._beat(checkpoint, usage, calls)


class Stubs:
    """The stubs of a run: `steps` by a step's static path, before `capabilities` by that of its executor."""

    def __init__(self, capabilities: Mapping[str, Stub], steps: Mapping[str, Stub]) -> None:
        self._capabilities = dict(capabilities)
        self._steps = dict(steps)
        self._asked: dict[tuple[str, str], int] = {}

    def provide(self, capability: str, stub: Stub) -> None:
        self._capabilities[capability] = stub
        self._asked.pop(("capability", capability), None)

    def is_absent(self, step: StepPlan) -> bool:
        """Whether no executor is to be there for this step. Raises: NoStub."""
        return self._of(step)[1] is NOBODY

    def outcome(self, step: StepPlan, given: StubStep) -> Any:
        """What the stub makes of an attempt: an outcome, or a generator that will come to one. Raises: NoStub."""
        key, stub = self._of(step)
        asked = self._asked[key] = self._asked.get(key, 0) + 1
        if callable(stub):
            return guarded(lambda: stub(given))
        if isinstance(stub, list):
            if asked > len(stub):
                raise NoStub(
                    f"the stub of {key[0]} {key[1]!r} is a list of {len(stub)} answers, and attempt {given.attempt} of "
                    f"step {given.run_path!r} asks for one more"
                )
            return stub[asked - 1]
        return stub

    def _of(self, step: StepPlan) -> tuple[tuple[str, str], Stub]:
        if step.path in self._steps:
            return ("step", step.path), self._steps[step.path]
        if step.executor in self._capabilities:
            return ("capability", step.executor), self._capabilities[step.executor]
        known = ", ".join(sorted(self._capabilities)) or "none"
        raise NoStub(
            f"no stub stands for capability {step.executor!r}, which step {step.path!r} needs; given are: {known}. "
            f'Give one: executors={{"{step.executor}": ...}}, or NOBODY if no executor is to be there'
        )


def guarded(function: Callable[[], Any]) -> Any:
    """What an executor's function makes, an exception being a failure as in a worker.

    A failed assertion is the test's own, and so is what the kit says to it.
    """
    try:
        return function()
    except (AssertionError, PlayError):
        raise
    except StepFailed as error:
        return Failure(error.type, error.message, error.retryable)
    except Exception as error:  # noqa: BLE001  whatever a stub raises fails the attempt
        return Failure(f"python.{error.__class__.__name__}", str(error))


def through_json(value: Any) -> Any:
    """The value as it comes out of JSON, sharing nothing. Raises: TypeError, ValueError for what JSON can't hold."""
    return msgspec.json.decode(msgspec.json.encode(value))


def is_generator(outcome: Any) -> bool:
    return inspect.isgenerator(outcome)


Course = Generator[Any, None, Any]
