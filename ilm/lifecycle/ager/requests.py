"""Each step as the one request that it takes."""

from __future__ import annotations

from typing import Any

from .steps import Block, Merge, Remove, Roll, Settle, Step


def request_for(step: Step) -> tuple[str, str, Any]:
    """Method, path and JSON body (None for none)."""
    match step:
        case Roll():
            return "POST", f"/{step.alias}/_rollover/{step.next_index}", {"conditions": dict(step.conditions)}
        case Settle():
            return "PUT", f"/{step.index}/_settings", dict(step.settings)
        case Block():
            # Unlike the setting, this is answered when all writes that were under way have come to their end.
            return "PUT", f"/{step.index}/_block/write", None
        case Merge():
            options = f"max_num_segments={step.max_num_segments}&wait_for_completion=false"
            return "POST", f"/{step.index}/_forcemerge?{options}", None
        case Remove():
            return "DELETE", f"/{step.index}", None
