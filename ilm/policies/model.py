"""What a policy is: a document in exactly the shape of Elastic's ILM policies, known to be valid.

The documents are Elastic's own and not a dialect of ours: what an operator knows of ILM holds here, a policy can be
copied from a cluster or to one, and both backends (ILM itself, the ager) carry out the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import IlmError

PhaseName = Literal["hot", "warm", "cold", "frozen", "delete"]

PHASES: tuple[PhaseName, ...] = get_args(PhaseName)
"""Phases in the order in which an index goes through them (TimeseriesLifecycleType.ORDERED_VALID_PHASES)."""

ALLOWED: Mapping[PhaseName, tuple[str, ...]] = {
    "hot": (
        "set_priority",
        "unfollow",
        "rollover",
        "readonly",
        "downsample",
        "shrink",
        "forcemerge",
        "searchable_snapshot",
    ),
    "warm": (
        "set_priority",
        "unfollow",
        "readonly",
        "downsample",
        "allocate",
        "migrate",
        "shrink",
        "forcemerge",
    ),
    "cold": (
        "set_priority",
        "unfollow",
        "readonly",
        "downsample",
        "searchable_snapshot",
        "allocate",
        "migrate",
        "freeze",
    ),
    "frozen": ("unfollow", "searchable_snapshot"),
    "delete": ("wait_for_snapshot", "delete"),
}
"""The actions that each phase may have, in the order in which they are carried out.

Source: TimeseriesLifecycleType.ORDERED_VALID_HOT_ACTIONS and its siblings, of Elasticsearch 8.19.
"""

FAMILIES = ("steps", "instances", "events", "audit")
"""The rolled families of indices: each has one policy."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy of one family. Comes from `parse` or `default_policy`.

    `phases` is as it was written: by phase name `min_age` and `actions`, in Elastic's shape. `meta` is its `_meta`.
    """

    family: str
    phases: Mapping[str, Any]
    meta: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The policy as JSON, a copy: `{"phases": {...}}`, what stands in `policy` where ILM is told of it."""
        document: dict[str, Any] = {"phases": copied(self.phases)}
        return document if self.meta is None else document | {"_meta": copied(self.meta)}

    def actions(self, phase: PhaseName) -> Mapping[str, Any]:
        """The actions of a phase with their parameters, in the order in which they are carried out.

        Empty for a phase that the policy does not have. Parameters are as they were written, without defaults
        (`spelled_out` has them).
        """
        given = self.phases.get(phase, {}).get("actions", {})
        return {name: given[name] for name in ALLOWED[phase] if name in given}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `path` is where (`phases.hot.actions.rollover`), `message` says what, in a sentence."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class PolicyInvalid(IlmError):
    """A policy document is not valid. `faults` has everything that was found wrong; `str()` is the first of them."""

    def __init__(self, family: str, faults: Sequence[Fault]) -> None:
        more = len(faults) - 1
        super().__init__(f"policy of {family}: {faults[0]}{f' (and {more} more)' if more else ''}")
        self.family = family
        self.faults = tuple(faults)


def copied(value: Any) -> Any:
    """A copy of JSON in plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: copied(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [copied(inner) for inner in value]
    return value
