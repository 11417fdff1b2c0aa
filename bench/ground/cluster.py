"""The Elasticsearch under test: embedded, or one's own."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import structs

from ...core.embedded import EmbeddedElasticsearch
from ...core.es import ElasticsearchStore, connect
from ...core.settings import StoreSettings
from ..errors import BenchError
from ..load import Address
from ..processes import cpu_s_of, has_account

# A tenth of it buffers what is indexed; 1,000,000 documents fit.
EMBEDDED_HEAP_MB = 1_024


class Cluster:
    """A cluster and the prefix of this run's indices. `store` is for administration: load has its own connections."""

    def __init__(self, store: ElasticsearchStore, settings: StoreSettings, *, embedded: bool) -> None:
        self.store = store
        self.settings = settings
        self.embedded = embedded
        self._pids: tuple[int, ...] | None = None

    @property
    def prefix(self) -> str:
        return self.settings.index_prefix

    @property
    def version(self) -> str:
        return self.store.capabilities.version

    @property
    def described(self) -> str:
        return f"embedded, {EMBEDDED_HEAP_MB} MB heap" if self.embedded else "own"

    @property
    def address(self) -> Address:
        """The first node, for load that goes past the scheduler."""
        settings = self.settings
        authorization = None
        if settings.api_key is not None:
            authorization = f"ApiKey {settings.api_key}"
        elif settings.username is not None:
            credentials = f"{settings.username}:{settings.password or ''}".encode()
            authorization = f"Basic {base64.b64encode(credentials).decode()}"
        return Address(settings.urls[0].rstrip("/"), authorization, settings.ca_certs)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One administrative request. Raises: BenchError unless it is answered 2xx."""
        status, answer = await self.store.request(method, path, body)
        if status >= 300:
            raise BenchError(f"Elasticsearch answered {status} to {method} {path}: {answer}")
        return answer

    async def cpu_s(self) -> float:
        """The processor time that all nodes' processes have used since they started.

        Read from this machine's own accounts where all nodes run on it, else from the nodes, who say it once a second.
        """
        if self._pids is None:
            self._pids = await self._local_pids()
        if self._pids:
            return sum(cpu_s_of(pid) for pid in self._pids)
        answer = await self.ask("GET", "/_nodes/stats/process?filter_path=nodes.*.process.cpu.total_in_millis")
        return sum(int(node["process"]["cpu"]["total_in_millis"]) for node in answer["nodes"].values()) / 1_000

    async def version_conflicts(self, index: str) -> int:
        """How many writes to an index Elasticsearch itself has refused since it was made, for their version."""
        answer = await self.ask("GET", f"/{index}/_stats/indexing?filter_path=_all.primaries.indexing")
        found = answer["_all"]["primaries"]["indexing"]
        # Releases before 8.18 count all failed writes in one.
        return int(found.get("index_failed_due_to_version_conflict", found["index_failed"]))

    async def searches(self) -> int:
        """How many queries this run's indices have answered since they were made, by the count that each shard keeps.

        Nobody else searches them; counted over all indices, somebody else's searches on one's own cluster would show.
        """
        answer = await self.ask("GET", f"/{self.prefix}-*/_stats/search?filter_path=_all.total.search.query_total")
        return int(answer["_all"]["total"]["search"]["query_total"])

    async def _local_pids(self) -> tuple[int, ...]:
        """The nodes' processes, if all of them are this machine's."""
        answer = await self.ask("GET", "/_nodes/process?filter_path=nodes.*.process.id,nodes.*.host")
        nodes = list(answer["nodes"].values())
        if any(not node["host"].startswith("127.") for node in nodes):
            return ()
        pids = tuple(int(node["process"]["id"]) for node in nodes)
        return pids if all(has_account(pid) for pid in pids) else ()

    async def count(self, index: str, query: dict[str, Any]) -> int:
        """How many documents match, as of now."""
        await self.ask("POST", f"/{index}/_refresh")
        return int((await self.ask("POST", f"/{index}/_count", {"query": query}))["count"])

    async def clear(self) -> None:
        """Remove every index and template of this run's prefix."""
        found = await self.ask("GET", f"/{self.prefix}-*/_alias?filter_path=*.aliases")
        for index in found or {}:
            await self.store.request("DELETE", f"/{index}")
        for kind in ("_index_template", "_component_template"):
            await self.store.request("DELETE", f"/{kind}/{self.prefix}-*")


@asynccontextmanager
async def open_cluster(settings: StoreSettings, *, own: bool) -> AsyncIterator[Cluster]:
    """The cluster that the settings name if it is one's `own`, else an embedded one that lives as long as the context.

    Raises: BenchError; StoreError when the cluster does not answer.
    """
    settings = structs.replace(settings, index_prefix=f"bench-{secrets.token_hex(4)}")
    if own:
        async with _connected(settings, embedded=False) as found:
            yield found
    else:
        async with EmbeddedElasticsearch(heap_mb=EMBEDDED_HEAP_MB) as server:
            settings = StoreSettings(urls=(server.url,), index_prefix=settings.index_prefix)
            async with _connected(settings, embedded=True) as found:
                yield found


@asynccontextmanager
async def _connected(settings: StoreSettings, *, embedded: bool) -> AsyncIterator[Cluster]:
    async with connect(settings) as store:
        found = Cluster(store, settings, embedded=embedded)
        try:
            yield found
        finally:
            if not embedded:
                await found.clear()
