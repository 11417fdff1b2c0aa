"""What the documents say while all goes on: leased steps, running instances and shares, read past all replicas.

**Which count is one of one moment.** Lanes are read one after another, so one snapshot may show a lease that has ended
and, in another lane, the one that followed it. A lease is named by its instance and token, which is never given again.
So what two snapshots show, the first of which was complete before the second began, was leased all the time between
them: only that is counted, and it was all leased at one moment. The same goes for instances, which are not queued again
once they run, and do not come back once they have ended. What is shorter than a snapshot may go unseen; nothing is seen
that was not.

**Which leases count.** One that an earlier owner wrote behind a later one's fence was never answered, and counts for
nothing. Of an epoch below its lane's fence count those that the document names as answered or a client knows of, and
those that were seen before the fence was raised. A new owner counts the others too until their end is acknowledged, and
the quota's document gives its lane units for them, above the limit if need be: so a sum of shares may grow above it by
what a lane has that was taken over just now.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from msgspec import Struct

from ..ground import Elasticsearch
from .ground import QUOTA_IDS, RUNNING_INSTANCES
from .in_force import InForce, Lease
from .ledger import Ledger

_EVERY_S = 0.1
_JUST_NOW_S = 10.0
_FINAL = ("succeeded", "failed", "cancelled", "terminated")
_FIELDS = (
    "kind", "epoch", "answered_tokens", "tenant", "status", "queued", "parent_id",
    "steps.*.status", "steps.*.token", "steps.*.claimed_at_ms",
)  # fmt: skip

Named = tuple[str, str, int]


class Snapshot(Struct):
    leases: dict[Named, Lease]
    certain: set[Named]
    running_ids: set[tuple[str, str]]


class Sampler:
    """`taken` counts snapshots. `broken`: what must not be, but for leases, which `InForce` counts."""

    def __init__(self, store: Elasticsearch, in_force: InForce, ledger: Ledger) -> None:
        self._store = store
        self._in_force = in_force
        self._ledger = ledger
        self._ahead_s = asyncio.get_running_loop().time() - time.time()
        self._shares: dict[str, dict[str, int]] = {}
        self._fences: dict[str, int] = {}
        self._taken_s: dict[str, float] = {}
        self.taken = 0
        self.most_running = 0
        self.broken: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        before = await self._snapshot()
        while True:
            now = await self._snapshot()
            self._compare(before, now)
            before = now
            await self.check_shares()
            await asyncio.sleep(_EVERY_S)

    async def _snapshot(self) -> Snapshot:
        hits = await self._store.hits("lane-*", _source=_FIELDS)
        fences = {hit["_index"]: hit["_source"]["epoch"] for hit in hits if hit["_source"]["kind"] == "fence"}
        self._note_owners(fences)
        found = Snapshot({}, set(), set())
        for hit in hits:
            if hit["_source"]["kind"] == "instance":
                self._note(found, hit["_id"], hit["_source"], fences[hit["_index"]])
        self.taken += 1
        return found

    def _note_owners(self, fences: dict[str, int]) -> None:
        now_s = asyncio.get_running_loop().time()
        for index, epoch in fences.items():
            if self._fences.get(index) != epoch:
                self._taken_s[index.rpartition("-")[2]] = now_s
        self._fences = fences

    def _note(self, found: Snapshot, id: str, document: dict[str, Any], fence: int) -> None:
        tenant = document["tenant"]
        if document.get("status") not in _FINAL and not document.get("queued") and "parent_id" not in document:
            found.running_ids.add((tenant, id))
        for path, step in document.get("steps", {}).items():
            if step.get("status") == "claimed":
                named = id, path, step["token"]
                found.leases[named] = Lease(tenant, path, step["claimed_at_ms"] / 1_000 + self._ahead_s)
                answered = step["token"] <= document.get("answered_tokens", 0)
                if document["epoch"] >= fence or answered or (id, step["token"]) in self._ledger.answered:
                    found.certain.add(named)

    def _compare(self, before: Snapshot, now: Snapshot) -> None:
        both = (before.leases.keys() & now.leases.keys()) & (before.certain | now.certain)
        self._in_force.check((now.leases[named] for named in both), "documents")
        tenant, limit = RUNNING_INSTANCES
        running = {id for whose, id in before.running_ids & now.running_ids if whose == tenant}
        self.most_running = max(self.most_running, len(running))
        if len(running) > limit:
            self.broken.append(f"{len(running)} instances of {tenant} run, {limit} may: {running}")

    async def check_shares(self) -> int:
        """Shares are together at most the limit; where it was lowered they never grow. Returns how many are over."""
        found = await self._store.send("POST", "control/_mget", {"ids": QUOTA_IDS})
        over = 0
        for document in (one for one in found["docs"] if one["found"]):
            id, quota = document["_id"], document["_source"]
            shares = {lane: units for lane, (_, units) in quota["shares"].items()}
            if sum(shares.values()) > quota["limit"]:
                over += 1
                self._check_growth(id, shares, quota)
            self._shares[id] = shares
        return over

    def _check_growth(self, id: str, shares: dict[str, int], quota: dict[str, Any]) -> None:
        before, now_s = self._shares.get(id, {}), asyncio.get_running_loop().time()
        if sum(shares.values()) <= sum(before.values()):
            return
        grown = [lane for lane, units in shares.items() if units > before.get(lane, 0)]
        if any(now_s - self._taken_s.get(lane, 0.0) > _JUST_NOW_S for lane in grown):
            self.broken.append(f"{id} gives more than its limit, after {before}: {quota}")
