"""Somebody who rolls the indices of history over again and again, and blocks and merges the old ones.

Beside the ager, which does the same by policies of seconds. So there are indices that are blocked the moment that they
are rolled, while records that name them are in outboxes; such that take writes for some seconds more; and such that two
have rolled at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

from ..ground import Elasticsearch

FAMILIES = ("steps", "instances", "events", "audit")
_EVERY_S = (0.4, 2.5)
_LATER_S = (0.5, 4.0)
# Of old indices: blocked at once, later, by the ager alone.
_BLOCKED = {"at once": 0.5, "later": 0.3, "by the ager": 0.2}


def policy(family: str) -> dict[str, Any]:
    """Rolls over after some rows, and rests some seconds later."""
    rests_s = {"steps": 0, "instances": 2}.get(family, 4)
    warm = {"min_age": f"{rests_s}s", "actions": {"readonly": {}, "forcemerge": {"max_num_segments": 1}}}
    return {"phases": {"hot": {"actions": {"rollover": {"max_docs": 200}}}, "warm": warm}}


class Rolling:
    """`done` counts. `last_numbers`: of each index, the sequence number of the last write as its block stood."""

    def __init__(self, store: Elasticsearch, random: Random) -> None:
        self._store = store
        self._random = random
        self.done: Counter[str] = Counter()
        self.last_numbers: dict[str, int] = {}

    async def run(self, for_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for family in FAMILIES:
                group.create_task(self._roll(family, asyncio.get_running_loop().time() + for_s, group))

    async def _roll(self, family: str, until_s: float, group: asyncio.TaskGroup) -> None:
        while asyncio.get_running_loop().time() < until_s:
            await asyncio.sleep(self._random.uniform(*_EVERY_S))
            # The ager may have rolled it at the same moment: then there is such an index already.
            rolled = await self._store.send("POST", f"{family}/_rollover", refused=(400,))
            if rolled is None:
                self.done["was rolled by the ager meanwhile"] += 1
                continue
            self.done["rolled"] += 1
            (kind,) = self._random.choices(list(_BLOCKED), list(_BLOCKED.values()))
            if kind != "by the ager":
                after_s = 0 if kind == "at once" else self._random.uniform(*_LATER_S)
                group.create_task(self._rest(self._without_prefix(rolled["old_index"]), after_s))

    async def _rest(self, index: str, after_s: float) -> None:
        """Block an index, and merge it."""
        await asyncio.sleep(after_s)
        blocked = await self._store.send("PUT", f"{index}/_block/write")
        if not blocked["indices"]:
            self.done["was blocked by the ager meanwhile"] += 1
            return
        # It is answered when all writes under way are through.
        assert blocked["shards_acknowledged"], blocked
        self.last_numbers[index] = await self.last_number(index)
        self.done["blocked"] += 1
        if self._random.random() < 0.3:
            await self._store.send("POST", f"{index}/_forcemerge?max_num_segments=1")
            self.done["merged"] += 1

    async def last_number(self, index: str) -> int:
        """The sequence number of the last write to the index's one shard."""
        found = await self._store.send("GET", f"{index}/_stats/docs?level=shards")
        (shards,) = found["indices"].values()
        number: int = max(copy["seq_no"]["max_seq_no"] for copy in shards["shards"]["0"])
        return number

    def _without_prefix(self, index: str) -> str:
        return index.removeprefix(f"{self._store.prefix}-")

    async def written_after_block(self) -> list[str]:
        return [index for index, number in self.last_numbers.items() if await self.last_number(index) != number]
