"""One version of all templates and mappings.

`SCHEMA_VERSION` rises by one with every release that changes a mapping, a setting or a template; fields are only ever
added, so that documents of two releases can stand in one index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import instances, lane, live, steps, trail
from .fields import Mapping, closed
from .names import IndexNames

SCHEMA_VERSION = 4

# Above the priorities of Elastic's own templates (100 to 200).
TEMPLATE_PRIORITY = 400

# For every index: one shard, since sequence numbers order one shard only; a copy as soon as there is a second node.
COMMON_SETTINGS: Mapping = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}


@dataclass(frozen=True, slots=True)
class Family:
    """Indices of one kind. `name` is what follows the prefix; `rolled` ones stand behind an alias of that name."""

    name: str
    fields: Mapping
    settings: Mapping
    rolled: bool = False
    numbered: bool = False

    def patterns(self, names: IndexNames) -> list[str]:
        """What the family's template matches. A rolled one also matches its alias, so that it is never auto-created."""
        base = f"{names.prefix}-{self.name}"
        if self.numbered:
            return [f"{base}-*"]
        return [base, f"{base}-*"] if self.rolled else [base]


@dataclass(frozen=True, slots=True)
class Schema:
    """A version with its families. Tests make other versions to try upgrades."""

    version: int
    families: tuple[Family, ...]

    def mapping(self, family: Family) -> Mapping:
        return closed(self.version, family.fields)

    def component_template(self) -> dict[str, Any]:
        """What all indices share; an operator's own settings go into a template of the operator's."""
        return {
            "template": {"settings": {"index": COMMON_SETTINGS}},
            "version": self.version,
            "_meta": {"leasehold": {"schema": self.version}},
        }

    def index_template(self, family: Family, names: IndexNames, *, ilm: bool = False) -> dict[str, Any]:
        """No index of ours is ever created by a write: a late one must not bring a removed index back.

        `ilm`: the cluster has index lifecycle management, so each new index of a rolled family is given its policy.
        """
        settings = family.settings
        if ilm and family.rolled:
            settings = settings | lifecycle_settings(names.rolled(family.name))
        return {
            "index_patterns": family.patterns(names),
            "composed_of": [common_template(names)],
            "priority": TEMPLATE_PRIORITY,
            "allow_auto_create": False,
            "template": {"settings": {"index": settings}, "mappings": self.mapping(family)},
            "version": self.version,
            "_meta": {"leasehold": {"schema": self.version}},
        }


def lifecycle_settings(alias: str) -> dict[str, str]:
    """What has ILM manage an index (under `index`): its policy, which bears the alias's name, and what rolls over.

    Servers without ILM do not know these settings and refuse them.
    """
    return {"lifecycle.name": alias, "lifecycle.rollover_alias": alias}


def common_template(names: IndexNames) -> str:
    """The name of the component template that every index template is composed of."""
    return f"{names.prefix}-common"


CURRENT = Schema(
    SCHEMA_VERSION,
    (
        Family("lane", lane.FIELDS, lane.SETTINGS, numbered=True),
        Family("control", live.CONTROL, live.SETTINGS),
        Family("definitions", live.DEFINITIONS, live.SETTINGS),
        Family("tenants", live.TENANTS, live.SETTINGS),
        Family("keys", live.KEYS, live.SETTINGS),
        Family("usage", live.USAGE, live.SETTINGS),
        Family("steps", steps.FIELDS, trail.SETTINGS, rolled=True),
        Family("instances", instances.FIELDS, trail.SETTINGS, rolled=True),
        Family("events", trail.EVENTS, trail.SETTINGS, rolled=True),
        Family("audit", trail.AUDIT, trail.SETTINGS, rolled=True),
    ),
)
