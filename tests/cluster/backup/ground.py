"""Two servers with one repository of snapshots, and the requests of docs/operations.md, "Backup and restore"."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from leasehold.core.embedded import EmbeddedElasticsearch
from leasehold.core.embedded.account import server_account

REPOSITORY = "backups"


@dataclass(frozen=True)
class Ground:
    """`source` is where instances run, `fresh` a cluster that knows nothing of them; both reach the repository."""

    source: str
    fresh: str
    repository: Path


@contextmanager
def two_servers() -> Iterator[Ground]:
    """Both start at the same time, each a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="leasehold-test-", dir="/var/tmp") as folder, ExitStack() as stack:
        Path(folder).chmod(0o711)
        repository = Path(folder) / "snapshots"
        repository.mkdir()
        account = server_account()
        if account is not None:
            os.chown(repository, account.uid, account.gid)
        servers = [EmbeddedElasticsearch(settings={"path.repo": [str(repository)]}) for _ in range(2)]
        with ThreadPoolExecutor(len(servers)) as threads:
            for server, started in [(server, threads.submit(server.start)) for server in servers]:
                started.result()
                stack.callback(server.stop)
        yield Ground(servers[0].url, servers[1].url, repository)


class Cluster:
    """One server, as the person sees it who backs it up."""

    def __init__(self, session: aiohttp.ClientSession, url: str, prefix: str) -> None:
        self._session = session
        self.url = url
        self.prefix = prefix

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request that has to be answered 2xx."""
        async with self._session.request(method, self.url + path, json=body) as answer:
            found = await answer.json()
            assert answer.status < 300, found
            return found

    async def register(self, repository: Path, *, readonly: bool) -> None:
        """Only one cluster may write a repository; whoever only restores registers it as such."""
        body = {"type": "fs", "settings": {"location": str(repository), "readonly": readonly}}
        await self.ask("PUT", f"/_snapshot/{REPOSITORY}", body)

    async def lanes_and_keys(self) -> list[str]:
        """The indices to block, by name: `_block` takes no wildcards."""
        rows = await self.ask("GET", f"/_cat/indices/{self.prefix}-lane-*,{self.prefix}-keys?h=index&format=json")
        return sorted(row["index"] for row in rows)

    async def block(self, indices: Sequence[str]) -> None:
        """Afterwards no write is under way there, and none is accepted."""
        answer = await self.ask("PUT", f"/{','.join(indices)}/_block/write")
        assert answer["acknowledged"]
        assert answer["shards_acknowledged"]
        assert sorted(one["name"] for one in answer["indices"] if one["blocked"]) == list(indices)

    async def unblock(self) -> None:
        """Lanes and keys only: indices of history that have aged are read-only for good."""
        await self.ask("PUT", f"/{self.prefix}-lane-*,{self.prefix}-keys/_settings", {"index.blocks.write": None})

    async def snapshot(self, name: str, indices: str) -> None:
        body = {"indices": indices, "include_global_state": False}
        answer = await self.ask("PUT", f"/_snapshot/{REPOSITORY}/{name}?wait_for_completion=true", body)
        assert answer["snapshot"]["state"] == "SUCCESS"

    async def restore(self, name: str) -> None:
        """Restored indices are blocked as they were in the snapshot."""
        body = {"indices": f"{self.prefix}-*", "include_global_state": False}
        answer = await self.ask("POST", f"/_snapshot/{REPOSITORY}/{name}/_restore?wait_for_completion=true", body)
        assert answer["snapshot"]["shards"]["failed"] == 0

    async def roll_over(self) -> None:
        """A new write index for each family of history, as ageing makes them."""
        for family in ("steps", "instances", "events", "audit"):
            await self.ask("POST", f"/{self.prefix}-{family}/_rollover", {})

    async def rows(self, indices: str) -> list[dict[str, Any]]:
        """All documents of concrete indices, each copy by itself."""
        await self.ask("POST", f"/{indices}/_refresh")
        found = await self.ask("POST", f"/{indices}/_search", {"size": 10_000})
        hits: list[dict[str, Any]] = found["hits"]["hits"]
        return hits

    async def clear(self) -> None:
        """Remove what a restore or a replica has made here."""
        rows = await self.ask("GET", f"/_cat/indices/{self.prefix}-*?h=index&format=json")
        if rows:
            await self.ask("DELETE", "/" + ",".join(row["index"] for row in rows))
        for kind in ("index", "component"):
            found = await self.ask("GET", f"/_{kind}_template?filter_path=*.name")
            for template in found.get(f"{kind}_templates", []):
                if template["name"].startswith(self.prefix):
                    await self.ask("DELETE", f"/_{kind}_template/{template['name']}")
