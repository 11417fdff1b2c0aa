"""From a document to a policy that is known to be valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import PHASES, Fault, Policy, PolicyInvalid, copied


def parse(family: str, document: Mapping[str, Any]) -> Policy:
    """A policy from a document, `{"phases": ...}` or as Elastic writes it `{"policy": {"phases": ...}}`.

    Raises: PolicyInvalid with every fault.
    """
    inner = document.get("policy", document)
    phases = inner.get("phases") if isinstance(inner, Mapping) else None
    if not isinstance(phases, Mapping) or any(name not in PHASES for name in phases):
        raise PolicyInvalid(family, [Fault("phases", "expected the phases hot, warm, cold, frozen, delete")])
    if "rollover" not in ((phases.get("hot") or {}).get("actions") or {}):
        raise PolicyInvalid(family, [Fault("phases.hot.actions", "`rollover` is missing")])
    return Policy(family, copied(phases), copied(inner.get("_meta")))
