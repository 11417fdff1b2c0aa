"""Policies: when indices roll, rest, and go. Pure: documents in, documents and sentences out.

One policy for each family of rolled indices, in exactly the shape of Elastic's ILM policies. `default_policy` is what
holds where nobody has written one; `parse` checks what somebody has written; `retention_ms` and `min_age_ms` read ages
from it; `differences` and `shortened` say what a change changes.
"""

from .ages import min_age_ms, retention_ms
from .comparing import Difference, differences, shortened
from .defaults import default_policy
from .model import FAMILIES, PHASES, Fault, PhaseName, Policy, PolicyInvalid
from .reading import parse
from .units import time_ms

__all__ = [
    "FAMILIES",
    "PHASES",
    "Difference",
    "Fault",
    "PhaseName",
    "Policy",
    "PolicyInvalid",
    "default_policy",
    "differences",
    "min_age_ms",
    "parse",
    "retention_ms",
    "shortened",
    "time_ms",
]
