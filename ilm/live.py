"""The small indices beside the lanes: control, definitions, tenants, keys, usage.

Documents in them are read by id; what is indexed is for the change feed and for lists.
"""

from __future__ import annotations

from .fields import Mapping, boolean, date, double, integer, keyword, long

CONTROL: Mapping = {
    # `lane`, `replica`, `lanes`, `usage`, `schedule`, `schema`.
    "kind": keyword(),
    "lane": keyword(),
    "owner": keyword(),
    "replica": keyword(),
    "tenant": keyword(),
    "workflow": keyword(),
    "epoch": long(),
    "due_at_ms": long(),
    "updated_at_ms": long(),
}

DEFINITIONS: Mapping = {
    # `version` (write-once) or `head` (which version of a name is active).
    "kind": keyword(),
    "tenant": keyword(),
    "name": keyword(),
    "version": integer(),
    "active": integer(),
    "managed": boolean(),
    "created_at_ms": long(),
    "created_by": keyword(),
    "updated_at_ms": long(),
    # Of a head that holds rows of the audit trail: since when.
    "unaudited_since_ms": long(),
}

TENANTS: Mapping = {
    "kind": keyword(),
    "tenant": keyword(),
    "updated_at_ms": long(),
}

KEYS: Mapping = {
    # `start` (an idempotency key), `group` (the lane of a concurrency group), `memory` (what runs remembered), `chain`
    # (how far a chain of the audit trail goes).
    "kind": keyword(),
    "tenant": keyword(),
    "lane": keyword(),
    "instance_id": keyword(),
    "created_at_ms": long(),
    "expires_at_ms": long(),
}

USAGE: Mapping = {
    # The start of the UTC day.
    "@timestamp": date(),
    "tenant": keyword(),
    "workflow": keyword(),
    "starts": long(),
    "attempts": long(),
    "retries": long(),
    "executor_ms": long(),
    "llm_calls": long(),
    "llm_tokens": long(),
    "cost": double(),
    "stored_bytes": long(),
}

SETTINGS: Mapping = {
    "refresh_interval": "1s",
    "translog.durability": "request",
    # Leases are renewed every few seconds: the default of 12 h would keep every renewal for an absent copy.
    "soft_deletes.retention_lease.period": "1m",
    "priority": 250,
}
