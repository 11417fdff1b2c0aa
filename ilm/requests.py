"""How this package reaches Elasticsearch, without knowing a client."""

from __future__ import annotations

from typing import Any, Protocol


class Requests(Protocol):
    """One administrative request: method, path with its query, JSON body; answers the status and the parsed JSON.

    Any status below 500 but 429 is answered, not raised. Every request made here may be repeated without harm.
    """

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]: ...


def error_of(answer: Any) -> tuple[str, str]:
    """Type and reason of an Elasticsearch error body, whatever its shape."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        causes = error.get("root_cause") or [error]
        return str(causes[0].get("type", "")), str(causes[0].get("reason", ""))
    return "", str(error if error is not None else answer)
