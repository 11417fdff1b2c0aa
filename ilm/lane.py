"""A lane: the live instances, one flat document each, in a single shard.

Only what is searched for is indexed. Everything else of a document (steps, results, log, outbox) stays in `_source`.
Times are plain `long` milliseconds, compared and sorted as they stand in the document.
There is no `@timestamp`: with one, Elasticsearch picks a merge policy for logs, which reclaims deletions late.
"""

from __future__ import annotations

from .fields import Mapping, boolean, integer, keyword, long

FIELDS: Mapping = {
    # `instance`, `side` (a large value of an instance, kept apart) or `fence`.
    "kind": keyword(doc_values=False),
    "status": keyword(),
    "tenant": keyword(),
    "space": keyword(),
    "workflow": keyword(),
    "version": integer(),
    # The capabilities of the steps that can be claimed; absent when there is none.
    "ready": keyword(),
    # True while the owner has to hold the instance in memory: a step is leased, a history record is not confirmed, a
    # child is to begin or to be told, or the instance has ended. Absent otherwise.
    "held": boolean(doc_values=False),
    # What the ready queue sorts by: `ready_at + priority * age_step` of the first ready step.
    "rank": long(),
    # The instance's next timer; absent when there is none.
    "wake_at_ms": long(),
    "parent_id": keyword(),
    # The instance's concurrency group; absent for one without.
    "group": keyword(),
    # True while the instance waits for a slot of its group, or for its tenant to run less. Absent otherwise.
    "queued": boolean(doc_values=False),
    # True while the instance, nobody's child, waits to begin. Absent otherwise.
    "backlogged": boolean(doc_values=False),
    "correlation_id": keyword(),
    # `key=value`, for each entry of `labels`.
    "label_pairs": keyword(),
    "created_at_ms": long(),
    "updated_at_ms": long(),
    # The replica that wrote the document last.
    "writer": keyword(doc_values=False),
    # The instance that a side document belongs to.
    "side_of": keyword(doc_values=False),
}

SETTINGS: Mapping = {
    # Explicit, or a lane that nobody searches goes search-idle after 30 s and then pays for its refreshes in the
    # search that waits. The engine refreshes by itself where it needs to; more often than that costs Elasticsearch a
    # quarter of its time under load, since each refresh writes out documents that are changed again in the next second.
    "refresh_interval": "30s",
    # An acknowledged claim is on disk. (`async` loses what was acknowledged in the last seconds.)
    "translog.durability": "request",
    # How long updates are kept for an absent copy: the default of 12 h would keep every version of every document.
    "soft_deletes.retention_lease.period": "1m",
    # Recovered before history when a node starts.
    "priority": 200,
}
