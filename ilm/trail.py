"""`workflow-events`: parts of long event logs, for replay. `workflow-audit`: who did what."""

from __future__ import annotations

from .fields import Mapping, date, group, integer, keyword, stored, text

EVENTS: Mapping = {
    "@timestamp": date(),
    "workflow": group(id=keyword(), name=keyword(), version=integer()),
    "tenant": keyword(),
    "space": keyword(),
    "part": integer(),
    "log": stored(),
}

AUDIT: Mapping = {
    "@timestamp": date(),
    "event": group(action=keyword(), outcome=keyword(), reason=text()),
    "user": group(name=keyword(), roles=keyword()),
    "source": group(ip=keyword()),
    "workflow": group(id=keyword(), name=keyword(), version=integer()),
    "step": group(path=keyword()),
    "tenant": keyword(),
    "space": keyword(),
    "trace": group(id=keyword()),
    "details": stored(),
}

SETTINGS: Mapping = {
    # Finished instances are refreshed by the engine as they are confirmed; this is for rows that nobody waits for.
    "refresh_interval": "5s",
    "translog.durability": "request",
    "priority": 50,
}
