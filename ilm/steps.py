"""`workflow-steps`: one row a finished attempt. Field names are API: see docs/history.md, which a test keeps in step.

Names are ECS's where ECS has one (`@timestamp`, `event.outcome`, `error.*`, `trace.id`), or ECS's is an alias, which
costs nothing to write. docs/history.md names those that differ. No payload can add a field: input and output are their
own JSON text, searchable whatever their shape.
"""

from __future__ import annotations

from .fields import Mapping, alias, boolean, date, double, group, integer, keyword, long, stored, text

FIELDS: Mapping = {
    "@timestamp": date(),
    "workflow": group(id=keyword(), name=keyword(), version=integer()),
    "step": group(
        name=keyword(),
        path=keyword(),
        attempt=integer(),
        capability=keyword(),
        outcome=keyword(),
        input=text(),
        output=text(),
        # The same text with its line breaks real, where it has any: in JSON text `\n` glues itself to the next word,
        # which could then not be found. It feeds the field beside it.
        input_lines=text(copy_of_lines="step.input"),
        output_lines=text(copy_of_lines="step.output"),
        ready_at=date(),
        started_at=date(),
        finished_at=date(),
        duration_ms=long(),
        queue_ms=long(),
        human_wait_ms=long(),
    ),
    "worker": keyword(),
    "executor": alias("worker"),
    "tenant": keyword(),
    "organization": group(id=alias("tenant")),
    "space": keyword(),
    "labels": keyword(),
    "tags": alias("labels"),
    "correlation_id": keyword(),
    "event": group(start=alias("step.started_at"), end=alias("step.finished_at"), outcome=keyword()),
    "error": group(type=keyword(), message=text()),
    "usage": group(llm_calls=long(), llm_tokens=long(), cost=double()),
    "trace": group(id=keyword()),
    "calls": stored(),
    "stored_bytes": long(),
    # True for a row that Elasticsearch took only without its payloads.
    "stripped": boolean(),
}
