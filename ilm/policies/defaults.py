"""The policies that hold where nobody has written one."""

from __future__ import annotations

from typing import Any

from .model import Policy

_DAYS = {"steps": (2, 14, 30), "instances": (2, 30, 90), "events": (2, 30, 120), "audit": (2, 90, 400)}


def default_policy(family: str) -> Policy:
    """The policy of a family (one of `FAMILIES`) where nobody has written one."""
    warm, cold, delete = _DAYS[family]
    return Policy(family, _phases(warm, cold, delete))


def _phases(warm_days: int, cold_days: int, delete_days: int) -> dict[str, Any]:
    return {
        "hot": {
            "min_age": "0ms",
            "actions": {
                "rollover": {"max_age": "7d", "max_primary_shard_size": "50gb"},
                "set_priority": {"priority": 100},
            },
        },
        "warm": {
            "min_age": f"{warm_days}d",
            "actions": {
                "readonly": {},
                "shrink": {"number_of_shards": 1},
                "forcemerge": {"max_num_segments": 1},
                "set_priority": {"priority": 50},
            },
        },
        "cold": {"min_age": f"{cold_days}d", "actions": {"set_priority": {"priority": 0}}},
        "delete": {"min_age": f"{delete_days}d", "actions": {"delete": {}}},
    }
