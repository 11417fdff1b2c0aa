"""Times in a query: how long ago, or a time of the calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from ...errors import InvalidRequest
from .parameters import DURATION_PATTERN, duration_ms

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = f"{_DAY}(T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,6}})?)?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?"
MOMENT_PATTERN = f"^({_TIME}|{DURATION_PATTERN.removeprefix('^').removesuffix('$')})$"
MOMENT_ALLOWED = "how long ago, such as 1h or 7d, or a time such as 2026-01-31T08:00:00Z (UTC)"

Moment = Annotated[str, Meta(pattern=MOMENT_PATTERN, extra_json_schema={"x-allowed": MOMENT_ALLOWED})]


def moment_ms(text: str, now_ms: int) -> int:
    """A time without a zone is UTC. Raises: InvalidRequest when there is no such time."""
    if text[4:5] != "-":
        return max(0, now_ms - duration_ms(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"there is no time {text!r}; allowed: {MOMENT_ALLOWED}") from None
    return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
