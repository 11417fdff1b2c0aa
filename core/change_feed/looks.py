"""Looks at checkpoints, shared: what is to be looked at in the same moment goes into one `_stats` request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..errors import StoreUnavailable
from ..ports import Checkpoint, Store

# How long a look waits for others to share its request.
_LINGER_S = 0.002
# A pause that ends this soon before it could begin is taken to be over already.
_LEAST_SHARE = 0.1


class _Request:
    def __init__(self) -> None:
        self.indices: set[str] = set()
        self.answer: asyncio.Task[dict[str, Checkpoint]] | None = None


class SharedLooks:
    """One replica's looks. Those that pause for the same interval, or a multiple of it, end their pauses together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gathering: _Request | None = None

    async def pause(self, interval_ms: int) -> None:
        """Sleep to the next multiple of the interval, by the event loop's clock."""
        passed_ms = asyncio.get_running_loop().time() * 1_000 % interval_ms
        left_ms = interval_ms - passed_ms
        await asyncio.sleep((left_ms if left_ms > interval_ms * _LEAST_SHARE else left_ms + interval_ms) / 1_000)

    async def look(self, index: str) -> Checkpoint:
        """Where the index stands now. Raises: StoreError; StoreUnavailable when it is missing or has no primary."""
        found = (await self.look_at([index])).get(index)
        if found is None:
            raise StoreUnavailable(f"index {index!r} is missing, or its primary is not assigned")
        return found

    async def look_at(self, indices: Sequence[str]) -> dict[str, Checkpoint]:
        """Where these indices stand now; one that is missing or has no primary is left out. Raises: StoreError."""
        request = self._gathering
        if request is None:
            request = self._gathering = _Request()
            request.answer = asyncio.get_running_loop().create_task(self._send(request))
        request.indices.update(indices)
        assert request.answer is not None
        found = await asyncio.shield(request.answer)
        return {index: found[index] for index in indices if index in found}

    async def _send(self, request: _Request) -> dict[str, Checkpoint]:
        await asyncio.sleep(_LINGER_S)
        self._gathering = None
        return await self._store.checkpoints(sorted(request.indices))
