"""Policies: when indices roll, rest, and go. Pure: documents in, documents and sentences out.

One policy for each family of rolled indices, in exactly the shape of Elastic's ILM policies, whoever carries it out.
`default_policy` is what holds where nobody has written one; `parse` checks what somebody has written, and says all
that is wrong with it. Ages, conditions of a roll-over and retention are read off a policy by `ages`. What a change
changes, and whether it keeps records less long, say `differences` and `shortened`; `disagreements` says which policies
do not fit together.

What Elasticsearch allows is laid down as tables: `ALLOWED` (actions by phase), `ACTIONS` (parameters by action), and
the rules between phases in `rules`, each with the place in Elasticsearch's source that it comes from.
"""

from .actions import ACTIONS
from .ages import max_age_ms, min_age_ms, retention_ms, rollover_conditions
from .comparing import Difference, differences, disagreements, shortened, spelled_out
from .defaults import default_policy
from .model import ALLOWED, FAMILIES, PHASES, Fault, PhaseName, Policy, PolicyInvalid
from .reading import parse
from .rules import DELETE_LEAST_MS
from .units import size_bytes, size_text, time_ms, time_text

__all__ = [
    "ACTIONS",
    "ALLOWED",
    "DELETE_LEAST_MS",
    "FAMILIES",
    "PHASES",
    "Difference",
    "Fault",
    "PhaseName",
    "Policy",
    "PolicyInvalid",
    "default_policy",
    "differences",
    "disagreements",
    "max_age_ms",
    "min_age_ms",
    "parse",
    "retention_ms",
    "rollover_conditions",
    "shortened",
    "size_bytes",
    "size_text",
    "spelled_out",
    "time_ms",
    "time_text",
]
