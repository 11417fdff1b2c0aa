"""`workflow-instances`: one row a finished instance. Field names are API: see docs/history.md.

`instance` is the whole final state and `log` its events, so that an instance can be shown and replayed as it was.
"""

from __future__ import annotations

from .fields import Mapping, alias, boolean, date, double, group, integer, keyword, long, stored, text

FIELDS: Mapping = {
    "@timestamp": date(),
    "workflow": group(id=keyword(), name=keyword(), version=integer()),
    "status": keyword(),
    "created_at": date(),
    "finished_at": date(),
    "duration_ms": long(),
    # What is left of it without `human_wait_ms`: stored, since what a script computes has no percentiles without one.
    "net_duration_ms": long(),
    "human_wait_ms": long(),
    "wait_ms": long(),
    "queue_ms": long(),
    "run_ms": long(),
    "inputs": text(),
    "outputs": text(),
    "inputs_lines": text(copy_of_lines="inputs"),
    "outputs_lines": text(copy_of_lines="outputs"),
    "tenant": keyword(),
    "organization": group(id=alias("tenant")),
    "space": keyword(),
    # Whose definition it is: what canaries of tenant `*` are judged by spans tenants.
    "definition_tenant": keyword(),
    "labels": keyword(),
    "tags": alias("labels"),
    "started_by": keyword(),
    "user": group(name=alias("started_by")),
    "correlation_id": keyword(),
    "parent_id": keyword(),
    # How often it was brought back before this end; absent for none.
    "redrives": integer(),
    "event": group(start=alias("created_at"), end=alias("finished_at"), outcome=keyword()),
    "error": group(type=keyword(), message=text()),
    "usage": group(llm_calls=long(), llm_tokens=long(), cost=double()),
    "trace": group(id=keyword()),
    "instance": stored(),
    "log_parts": integer(),
    "log": stored(),
    # True for a row that Elasticsearch took only without its payloads.
    "stripped": boolean(),
}
