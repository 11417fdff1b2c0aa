"""A cluster that pushes, over HTTP: the few requests that a change feed makes, answered as Elastic documents them.

The embedded server lacks `_fleet`, so this stands in for it behind the real transport. What the indices hold is the
model's; `cluster` is to be written by the test. Source: Elastic, "Get global checkpoints" API, and the exceptions that
its transport action throws (8.x): 400 for several shards or counts that do not fit, 404 for an index that is missing
after the timeout or is removed while a request waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from leasehold.core.errors import StoreRejected

from .model_cluster import ModelElasticsearch

_MODULES = ("lang-painless", "x-pack-ilm", "x-pack-fleet", "data-streams")


class FleetStub:
    """One node. `url` is where it answers; `polls` counts long polls, `waiting` those that wait at the moment."""

    def __init__(self) -> None:
        self.cluster = ModelElasticsearch()
        self.url = ""
        self.polls = 0
        self.looks = 0
        self.waiting = 0
        self.refusing: tuple[int, str, str] | None = None
        self._cut = asyncio.Event()

    def cut_connections(self) -> None:
        """Every long poll that waits now loses its connection."""
        self._cut.set()
        self._cut = asyncio.Event()

    def refuse_polls(self, status: int, error_type: str, reason: str) -> None:
        """Long polls are refused from now on, as for a user without the privilege."""
        self.refusing = status, error_type, reason

    async def nodes(self, _request: web.Request) -> web.Response:
        modules = [{"name": name} for name in _MODULES]
        return web.json_response({"nodes": {"n1": {"version": "8.19.8", "modules": modules}}})

    async def stats(self, request: web.Request) -> web.Response:
        self.looks += 1
        names = request.match_info["index"].split(",")
        lenient = request.query.get("ignore_unavailable") == "true"
        missing = [name for name in names if name not in self.cluster.indices]
        if missing and not lenient:
            return _failed(404, "index_not_found_exception", f"no such index [{missing[0]}]")
        return web.json_response({"indices": {name: self._stats(name) for name in names if name not in missing}})

    def _stats(self, name: str) -> dict[str, Any]:
        index = self.cluster.indices[name]
        seq_no = {
            "max_seq_no": index.max_seq_no,
            "local_checkpoint": index.max_seq_no,
            "global_checkpoint": index.global_checkpoint,
        }
        copies = [{"routing": {"primary": True, "state": "STARTED"}, "seq_no": seq_no}]
        return {"uuid": index.uuid, "shards": {"0": copies}}

    async def global_checkpoints(self, request: web.Request) -> web.Response:
        self.polls += 1
        if self.refusing is not None:
            return _failed(*self.refusing)
        name = request.match_info["index"]
        asked = request.query
        waits, checkpoints = asked.get("wait_for_advance") == "true", asked.get("checkpoints", "").split(",")
        if asked.get("wait_for_index") == "true" and not waits:
            return _failed(400, "action_request_validation_exception", "wait_for_advance must also be set to true")
        if len(checkpoints) != 1:
            return _failed(400, "status_exception", "number of checkpoints must equal number of shards")
        above = int(checkpoints[0] or -1)
        if not waits:
            return self._answer(name, above, timed_out=False)
        return await self._waited(name, above, int(asked["timeout"].removesuffix("ms")), request)

    async def _waited(self, name: str, above: int, wait_ms: int, request: web.Request) -> web.Response:
        cut = asyncio.ensure_future(self._cut.wait())
        waiting = asyncio.ensure_future(self.cluster.wait_past(name, above, wait_ms))
        # Both have begun to wait before anybody is told so.
        await asyncio.sleep(0)
        self.waiting += 1
        try:
            await asyncio.wait({cut, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return self._answer(name, above, timed_out=waiting.result() is None)
        except StoreRejected as error:
            return _failed(error.status, error.error_type, str(error))
        finally:
            self.waiting -= 1
            cut.cancel()
            waiting.cancel()

    def _answer(self, name: str, above: int, *, timed_out: bool) -> web.Response:
        reached = self.cluster.one_index(name).global_checkpoint
        return web.json_response({"timed_out": timed_out and reached <= above, "global_checkpoints": [reached]})


def _failed(status: int, error_type: str, reason: str) -> web.Response:
    cause = {"type": error_type, "reason": reason}
    return web.json_response({"error": {"root_cause": [cause], **cause}, "status": status}, status=status)


@asynccontextmanager
async def fleet_stub() -> AsyncIterator[FleetStub]:
    """A stub that answers on a loopback port of its own until the context ends."""
    stub = FleetStub()
    app = web.Application()
    app.router.add_get("/_nodes", stub.nodes)
    app.router.add_get("/{index}/_stats/docs", stub.stats)
    app.router.add_get("/{index}/_fleet/global_checkpoints", stub.global_checkpoints)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        stub.url = f"http://127.0.0.1:{port}"
        yield stub
    finally:
        await runner.cleanup()
