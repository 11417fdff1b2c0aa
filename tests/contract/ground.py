"""The two grounds that the contract suite runs on: the model, and a real server, behind one face."""

from __future__ import annotations

from typing import Any, Protocol

from leasehold.core.es import ElasticsearchStore
from leasehold.core.ports import Store
from leasehold.ilm import CURRENT
from leasehold.ilm.fields import closed

from tests.kit.model_store import ModelElasticsearch, ModelStore

Mapping = dict[str, Any]

# One field of each type that our mappings use.
FIELDS: Mapping = {
    "name": {"type": "keyword", "ignore_above": 8},
    "count": {"type": "long"},
    "small": {"type": "integer"},
    "share": {"type": "double"},
    "at": {"type": "date"},
    "flag": {"type": "boolean"},
    "story": {"type": "text"},
    "story_lines": {"type": "text", "index": False, "copy_to": "story"},
    "other_name": {"type": "alias", "path": "name"},
    "group": {"properties": {"name": {"type": "keyword"}}},
    "anything": {"type": "object", "enabled": False},
}
LANE_FIELDS = next(family.fields for family in CURRENT.families if family.name == "lane")


class Ground(Protocol):
    """Where indices are made for a test; `store` is what is tested. Indices refresh only when they are asked to."""

    @property
    def store(self) -> Store: ...

    async def make_index(self, fields: Mapping = FIELDS, *, alias: str | None = None, write: bool = True) -> str:
        """An empty index of a new name, behind an alias (that is then its write index) where one is given."""

    async def remove_index(self, index: str) -> None: ...

    async def make_again(self, index: str) -> None:
        """An empty index of the same name in the place of this one."""

    async def bring_back(self, index: str) -> None:
        """An empty index of the name of one that was removed."""

    async def block_writes(self, index: str) -> None: ...


class ModelGround:
    def __init__(self, prefix: str, *, store: ModelStore | None = None) -> None:
        self.store = store or ModelStore(ModelElasticsearch())
        self._cluster = self.store.cluster
        self._prefix = prefix
        self._made = 0
        self._mappings: dict[str, Mapping] = {}

    async def make_index(self, fields: Mapping = FIELDS, *, alias: str | None = None, write: bool = True) -> str:
        self._made += 1
        index = f"{self._prefix}-{self._made}"
        self._mappings[index] = closed(1, fields)
        self._cluster.create_index(index, self._mappings[index], alias=alias, write=write)
        return index

    async def remove_index(self, index: str) -> None:
        self._cluster.delete_index(index)

    async def make_again(self, index: str) -> None:
        await self.remove_index(index)
        await self.bring_back(index)

    async def bring_back(self, index: str) -> None:
        self._cluster.create_index(index, self._mappings[index])

    async def block_writes(self, index: str) -> None:
        self._cluster.indices[index].write_blocked = True


class ServerGround:
    """Indices of a real server, under a prefix of the test's own. Once one is removed, no write creates it again."""

    def __init__(self, store: ElasticsearchStore, prefix: str) -> None:
        self.store = store
        self._prefix = prefix
        self._made: list[str] = []
        self._bodies: dict[str, Mapping] = {}
        self._template = False

    async def make_index(self, fields: Mapping = FIELDS, *, alias: str | None = None, write: bool = True) -> str:
        index = f"{self._prefix}-{len(self._made) + 1}"
        settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
        self._bodies[index] = {"settings": settings, "mappings": closed(1, fields)}
        if alias is not None:
            await self._take_writes_from_others(alias, write=write)
            self._bodies[index]["aliases"] = {alias: {"is_write_index": write}}
        await self._must("PUT", f"/{index}", self._bodies[index])
        self._made.append(index)
        return index

    async def remove_index(self, index: str) -> None:
        if not self._template:
            self._template = True
            template = {"index_patterns": [f"{self._prefix}-*"], "priority": 1000, "allow_auto_create": False}
            await self._must("PUT", f"/_index_template/{self._prefix}", template)
        await self._must("DELETE", f"/{index}")

    async def make_again(self, index: str) -> None:
        await self.remove_index(index)
        await self.bring_back(index)

    async def bring_back(self, index: str) -> None:
        await self._must("PUT", f"/{index}", self._bodies[index])

    async def block_writes(self, index: str) -> None:
        await self._must("PUT", f"/{index}/_block/write")

    async def _take_writes_from_others(self, alias: str, *, write: bool) -> None:
        status, behind = await self.store.request("GET", f"/_alias/{alias}")
        if status == 200 and write:
            actions = [{"add": {"index": index, "alias": alias, "is_write_index": False}} for index in behind]
            await self._must("POST", "/_aliases", {"actions": actions})

    async def _must(self, method: str, path: str, body: Any = None) -> None:
        status, answer = await self.store.request(method, path, body)
        assert status == 200, answer
