"""`workflow-events`: parts of long event logs, for replay, and calls. `workflow-audit`: who did what."""

from __future__ import annotations

from .fields import Mapping, alias, boolean, date, group, integer, keyword, long, stored, text

EVENTS: Mapping = {
    "@timestamp": date(),
    "workflow": group(id=keyword(), name=keyword(), version=integer()),
    "tenant": keyword(),
    "space": keyword(),
    "part": integer(),
    "log": stored(),
    # Of a share of a foreach that has ended, which is a row of its own: its final state.
    "parent_id": keyword(),
    "instance": stored(),
    "log_parts": integer(),
    # Of a lot of calls that heartbeats brought, which is a row of its own.
    "step": group(path=keyword(), attempt=integer()),
    "worker": keyword(),
    "token": long(),
    "calls": stored(),
    "stripped": boolean(),
}

AUDIT: Mapping = {
    "@timestamp": date(),
    "event": group(action=keyword(), outcome=keyword(), reason=text()),
    # `tenant` and `space` of who was refused what is not its own; the row's are of what was asked for.
    "user": group(name=keyword(), roles=keyword(), tenant=keyword(), space=keyword()),
    "source": group(ip=keyword()),
    "workflow": group(id=keyword(), name=keyword(), version=integer()),
    "step": group(path=keyword()),
    "tenant": keyword(),
    "organization": group(id=alias("tenant")),
    "space": keyword(),
    "trace": group(id=keyword()),
    "details": stored(),
    # The row as a link of its writer's chain.
    "chain": group(writer=keyword(), seq=long(), previous=keyword(doc_values=False), hash=keyword(doc_values=False)),
    "stripped": boolean(),
}

SETTINGS: Mapping = {
    # Finished instances are refreshed by the engine as they are confirmed; this is for rows that nobody waits for.
    "refresh_interval": "5s",
    "translog.durability": "request",
    "priority": 50,
}
