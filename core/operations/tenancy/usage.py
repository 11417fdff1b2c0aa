"""What a tenant has used, summed from its usage documents."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from ....claim.wire.usage import UsageRow, UsageView
from ...engine import Engine
from ...errors import InvalidRequest
from ...es.usage.listed import PAGE, usage_body
from ...principal import EVERY_TENANT, Principal
from ...usage.documents import UsageDocument, day_text

By = Literal["day", "workflow", "tenant", "total", "all"]
DAY_MS = 86_400_000
DAYS_MAX = 1_100

_COUNTS = ("starts", "attempts", "retries", "executor_ms", "llm_calls", "llm_tokens", "stored_bytes")
_KEYS: dict[str, tuple[str, ...]] = {
    "day": ("day",),
    "workflow": ("workflow",),
    "tenant": ("tenant",),
    "total": (),
    "all": ("day", "tenant", "workflow"),
}
_decoder = msgspec.json.Decoder(UsageDocument)


class UsageReports:
    """Any replica reads them. A tenant reads its own, operators everybody's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def of(self, principal: Principal, tenant: str, *, since_ms: int, until_ms: int, by: By) -> UsageView:
        """From the UTC day of one time to that of another; tenant `*`: of all. Raises: NotFound; InvalidRequest.

        Days and workflows without usage have no row. What ended within the last `usage.every_ms` may be missing.
        """
        if not principal.operator:
            self._engine.access.check(principal, tenant, "get_usage", "tenant", tenant)
        from_ms, to_ms = since_ms - since_ms % DAY_MS, until_ms - until_ms % DAY_MS + DAY_MS
        if not 0 < to_ms - from_ms <= DAYS_MAX * DAY_MS:
            raise InvalidRequest(
                f"usage from {day_text(from_ms)} to {day_text(to_ms - DAY_MS)} was asked for;"
                f" allowed: from 1 to {DAYS_MAX} days, the first one first"
            )
        sums = _Sums(_KEYS[by])
        after: Any = None
        while True:
            body = usage_body(None if tenant == EVERY_TENANT else tenant, from_ms=from_ms, to_ms=to_ms, after=after)
            hits = (await self._engine.store.search(self._engine.names.usage, body)).hits
            for hit in hits:
                sums.add(_decoder.decode(hit.source))
            if len(hits) < PAGE:
                break
            after = hits[-1].sort
        return UsageView(tenant, day_text(from_ms), day_text(to_ms - DAY_MS), by, sums.rows(), sums.total())


class _Sums:
    """Usage summed by some of day, tenant and workflow. Costs are kept apart until the end, and summed exactly."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._groups: dict[tuple[str, ...], tuple[dict[str, int], list[float]]] = {}

    def add(self, document: UsageDocument) -> None:
        parts = {
            "day": f"{document.timestamp.astimezone(UTC):%Y-%m-%d}",
            "tenant": document.tenant,
            "workflow": document.workflow,
        }
        key = tuple(parts[name] for name in self._keys)
        counts, costs = self._groups.setdefault(key, (dict.fromkeys(_COUNTS, 0), []))
        for name in _COUNTS:
            counts[name] += getattr(document, name)
        costs.append(document.cost)

    def rows(self) -> list[UsageRow]:
        return [_row(dict(zip(self._keys, key, strict=True)), [self._groups[key]]) for key in sorted(self._groups)]

    def total(self) -> UsageRow:
        return _row({}, self._groups.values())


def _row(names: dict[str, str], groups: Iterable[tuple[dict[str, int], list[float]]]) -> UsageRow:
    found = list(groups)
    counts = {name: sum(counts[name] for counts, _ in found) for name in _COUNTS}
    cost = math.fsum(cost for _, costs in found for cost in costs)
    return msgspec.convert({**names, **counts, "cost": cost}, UsageRow)


def day_ms(text: str) -> int:
    """The start of an ISO 8601 day. Raises: InvalidRequest when there is no such day."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1_000)
    except ValueError:
        raise InvalidRequest(f"there is no day {text!r}; write a day as 2026-01-31") from None
