"""What people tell an instance to do. Each order becomes one event of its machine, applied by the owner of its lane."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Order(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="order"):
    """Root of all orders. `reason` is kept in the event log and in the audit trail."""

    reason: str | None = None


class Decide(Order, frozen=True, tag="decide"):
    """Approve or reject; `step` None: the one approval that is open. `form` holds the values of the approval's form."""

    approved: bool
    step: str | None = None
    comment: str | None = None
    form: dict[str, Any] | None = None


class Cancel(Order, frozen=True, tag="cancel"):
    """End it, after its compensations."""


class Terminate(Order, frozen=True, tag="terminate"):
    """End it now."""


class Pause(Order, frozen=True, tag="pause"):
    """Nothing of it is to be claimed."""


class Resume(Order, frozen=True, tag="resume"):
    """The end of a pause."""


class Skip(Order, frozen=True, tag="skip"):
    """The step at this run path is not to be done."""

    step: str


class Retry(Order, frozen=True, tag="retry"):
    """Do it again: one step and what follows, the steps that failed (`step` None), or everything.

    `params` replace single params of the instance.
    """

    step: str | None = None
    from_start: bool = False
    params: dict[str, Any] | None = None


class Signal(Order, frozen=True, tag="signal"):
    """Wake whoever waits for a signal of that name, with this payload."""

    name: str
    payload: Any = None


AnyOrder = Decide | Cancel | Terminate | Pause | Resume | Skip | Retry | Signal
