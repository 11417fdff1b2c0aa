"""An event as the instance's log keeps it: without what is stored elsewhere. `core.replay` puts that back."""

from __future__ import annotations

from msgspec.structs import replace

from ...claim.wire import Call
from ..machine.events import AnyEvent, ChildEnded, Completed, Failed, Heartbeat
from ..machine.state import Instance, InstanceStatus
from . import codec

# That there was a lot counts; what was in it has a row of its own.
_A_LOT = (Call(""),)


def log_entry(event: AnyEvent, before: Instance) -> bytes:
    """Results stand in the steps' states and in rows of attempts and children, calls in rows of their own.

    `before` is the instance as the event found it.
    """
    if type(event) is Completed:
        attempt = before.steps[event.path].attempt
        event = Completed(event.at_ms, event.path, event.token, None, event.usage, (), attempt)
    elif type(event) is ChildEnded and event.result is not None:
        # One that has not succeeded may leave something all the same: that it did is kept.
        event = replace(event, result=None if event.status == InstanceStatus.SUCCEEDED.value else True)
    elif type(event) is Failed and event.calls:
        event = replace(event, calls=())
    elif type(event) is Heartbeat and event.calls:
        event = replace(event, calls=_A_LOT)
    return codec.encode(event)
