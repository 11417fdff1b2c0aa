"""Indices: their names, mappings and settings, how they come into being, and what the cluster has to offer.

A fixed number of indices, however many definitions and tenants there are (`IndexNames`). Live state stands in plain
indices; history (`steps`, `instances`, `events`, `audit`) stands behind aliases with one write index each, so that it
can roll. Nothing is mapped dynamically anywhere: 10,000 different keys in payloads add no field. The modules `lane`,
`live`, `steps`, `instances` and `trail` list the fields and read as documentation.

`bootstrap` makes everything stand, safely from many replicas at once, upgrades it in place for a newer release, and
refuses (`SchemaTooNew`) to run on what a newer release has made. `detect` says what the cluster has: the embedded
server lacks much, and what needs a capability asks for it.

This package knows no Elasticsearch client: it is given a callable (`Requests`).
"""

from .bootstrap import Bootstrapped, bootstrap
from .capabilities import Capabilities, detect
from .errors import BootstrapFailed, IlmError, SchemaTooNew, UnsupportedServer
from .names import IndexNames, lane_names
from .policies import (
    FAMILIES,
    PHASES,
    Difference,
    Fault,
    PhaseName,
    Policy,
    PolicyInvalid,
    default_policy,
    differences,
    min_age_ms,
    parse,
    retention_ms,
    shortened,
    time_ms,
)
from .requests import Requests
from .schema import CURRENT, SCHEMA_VERSION, Family, Schema

__all__ = [
    "CURRENT",
    "FAMILIES",
    "PHASES",
    "SCHEMA_VERSION",
    "BootstrapFailed",
    "Bootstrapped",
    "Capabilities",
    "Difference",
    "Family",
    "Fault",
    "IlmError",
    "IndexNames",
    "PhaseName",
    "Policy",
    "PolicyInvalid",
    "Requests",
    "Schema",
    "SchemaTooNew",
    "UnsupportedServer",
    "bootstrap",
    "default_policy",
    "detect",
    "differences",
    "lane_names",
    "min_age_ms",
    "parse",
    "retention_ms",
    "shortened",
    "time_ms",
]
