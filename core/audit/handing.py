"""Rows that wait in somebody's outbox, handed to the trail together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .chain import Outcome
from .trail import Trail


async def outcomes_of(trail: Trail, rows: Iterable[tuple[str, str, str]], *, within_s: float) -> dict[str, Outcome]:
    """What has become of each, by its id, as far as that is known in time; the others are on their way.

    `rows`: id, JSON, and the concrete index that their outbox names. They may have been handed over before.
    """
    waiting = list(rows)
    outcomes: dict[str, Outcome] = {}
    all_known = asyncio.Event()

    def submit(id: str, row: str, index: str) -> None:
        def done(outcome: Outcome) -> None:
            outcomes[id] = outcome
            if len(outcomes) == len(waiting):
                all_known.set()

        trail.submit(id, row.encode(), index=index, done=done, repeated=True)

    for id, row, index in waiting:
        submit(id, row, index)
    try:
        async with asyncio.timeout(within_s):
            await all_known.wait()
    except TimeoutError:
        # What is known by then is returned.
        pass
    return outcomes
