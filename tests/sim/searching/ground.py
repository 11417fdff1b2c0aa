"""The list of instances as callers see it: over HTTP without a socket, in virtual time."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.kit.schedulers import ANYBODY, Scheduler
from tests.kit.speaking import Said, Speaking

WAITING = "name: waiting\nsteps:\n  - {name: only, wait_for_signal: go}\n"


async def said(s: Scheduler, more: list[tuple[str, str]] | None = None, **query: Any) -> Said:
    """One request, for `ANYBODY` unless the query has `as_tenant` or `as_space`."""
    caller = {"tenant": ANYBODY.tenant, "space": "default", "roles": ""}
    for name in ("tenant", "space"):
        caller[name] = query.pop(f"as_{name}", caller[name])
    pairs = [*(more or ()), *((name, str(value)) for name, value in query.items())]
    return await Speaking(s.replica).ask("GET", f"/_workflows/_search?{urlencode(pairs)}", **caller)


async def page(s: Scheduler, **query: Any) -> dict[str, Any]:
    answer = await said(s, **query)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def listed(s: Scheduler, **query: Any) -> list[str]:
    """All instances of the list, page by page; each with its status, as `id:status`."""
    found: list[str] = []
    following: dict[str, Any] = {}
    while True:
        one = await page(s, **query, **following)
        found += [f"{it['instance_id']}:{it['status']}" for it in one["instances"]]
        if one.get("next") is None:
            return found
        following = {"next": one["next"]}
