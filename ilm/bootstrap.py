"""Creates, checks and upgrades all indices: by whichever replica comes first, and harmlessly by all the others.

Every step creates what is missing and leaves alone what is there, so any number of replicas may run it at once, and a
replica that dies half-way leaves work that the next one finishes. The version stands in three places: in the `_meta` of
templates and mappings, which say what was upgraded, and in the document `schema` of the control index, which says what
may run here. An upgrade raises that document first, so that an older release that starts meanwhile refuses, then puts
templates, then adds fields to existing indices.

What a template says of lifecycle follows the cluster and not the version: it is put anew on a cluster that has gained
ILM, or lost it. Indices that stand already are given their policy by `leasehold.ilm.lifecycle`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from .capabilities import Capabilities
from .errors import BootstrapFailed, SchemaTooNew
from .names import IndexNames, lane_names
from .requests import Requests, error_of
from .schema import CURRENT, Family, Schema, common_template

SCHEMA_ID = "schema"
LANES_ID = "lanes"
WAIT_S = 30
_LOOK_AGAIN_S = 0.02
_PLAIN = Capabilities()
_PRIVILEGES = "its user needs to manage templates and the indices under the prefix"


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What stands now, and what this run did. `lanes` are the names of the lanes that exist."""

    lanes: tuple[str, ...]
    created: tuple[str, ...]
    upgraded: tuple[str, ...]


async def bootstrap(
    requests: Requests,
    names: IndexNames,
    *,
    lanes: int,
    schema: Schema = CURRENT,
    capabilities: Capabilities = _PLAIN,
) -> Bootstrapped:
    """Make every index stand as this release needs it. `lanes` counts only where no lane has ever been made.

    `capabilities` of the cluster decide what templates may say; left out, they say nothing that not every server knows.

    Raises: SchemaTooNew; BootstrapFailed; and whatever `requests` raises when nobody answers.
    """
    run = _Run(requests, names, schema, capabilities)
    existing = await run.versions_of_existing()
    if names.control in existing:
        await run.wait_for([names.control])
        await run.record_schema()
    await run.put_templates()
    await run.create(names.control, {})
    await run.wait_for([names.control])
    await run.record_schema()
    lane_list = await run.register_lanes(lanes)
    await asyncio.gather(*(run.create(index, body) for index, body in run.wanted(lane_list)), run.upgrade(existing))
    await run.check_aliases()
    await run.wait_for([index for index, body in run.wanted(lane_list) if not body])
    # A newer release may have come while this one was at it.
    await run.record_schema()
    return Bootstrapped(tuple(lane_list), tuple(sorted(run.created)), tuple(sorted(run.upgraded)))


class _Run:
    """One bootstrap under way."""

    def __init__(self, requests: Requests, names: IndexNames, schema: Schema, capabilities: Capabilities) -> None:
        self._requests = requests
        self._names = names
        self._schema = schema
        self._ilm = capabilities.ilm
        self.created: list[str] = []
        self.upgraded: list[str] = []

    async def versions_of_existing(self) -> dict[str, int]:
        """The schema version of each concrete index of ours. Raises: SchemaTooNew."""
        patterns = ",".join(pattern for family in self._schema.families for pattern in family.patterns(self._names))
        options = "ignore_unavailable=true&allow_no_indices=true&filter_path=*.mappings._meta,*.mappings.dynamic"
        found = await self._must("GET", f"/{patterns}/_mapping?{options}")
        versions = {index: _version_in(entry.get("mappings", {})) for index, entry in (found or {}).items()}
        for version in versions.values():
            self._refuse_newer(version)
        return versions

    async def record_schema(self) -> None:
        """Raise the control index's version to this release's. Raises: SchemaTooNew when it is higher."""
        path = f"/{self._names.control}/_doc/{SCHEMA_ID}"
        body = {"kind": "schema", "version": self._schema.version}
        while True:
            found = await self._must("GET", path, allow=(404,))
            if not found.get("found"):
                condition = "op_type=create"
            else:
                stored = int(found["_source"]["version"])
                self._refuse_newer(stored)
                if stored == self._schema.version:
                    return
                condition = f"if_seq_no={found['_seq_no']}&if_primary_term={found['_primary_term']}"
            await self._must("PUT", f"{path}?{condition}", body, allow=(409,))

    async def put_templates(self) -> None:
        """Put the templates that are missing, older than this release or not this cluster's. Raises: SchemaTooNew."""
        common = f"/_component_template/{common_template(self._names)}"
        await self._put_template(common, "component_templates", "component_template", self._schema.component_template())
        for family in self._schema.families:
            path = f"/_index_template/{self._names.prefix}-{family.name}"
            template = self._schema.index_template(family, self._names, ilm=self._ilm)
            await self._put_template(path, "index_templates", "index_template", template)

    async def _put_template(self, path: str, plural: str, singular: str, template: dict[str, Any]) -> None:
        found = await self._must("GET", path, allow=(404,))
        entries = found.get(plural) or [{}]
        standing = entries[0].get(singular, {})
        version = _version_in(standing)
        self._refuse_newer(version)
        if version < self._schema.version or _lifecycle_in(standing) != _lifecycle_in(template):
            await self._must("PUT", path, template)

    async def register_lanes(self, count: int) -> list[str]:
        """The lanes whose indices have to stand, by the control index's list; the first replica to come makes that.

        A lane on its way out is left as it is: to create its index would bring back one that was just removed.
        """
        path = f"/{self._names.control}/_doc/{LANES_ID}"
        body = {"kind": "lanes", "lanes": lane_names(count)}
        found = await self._must("GET", path, allow=(404,))
        while not found.get("found"):
            await self._must("PUT", f"{path}?op_type=create", body, allow=(409,))
            found = await self._must("GET", path, allow=(404,))
        leaving = found["_source"].get("leaving", {})
        return [str(lane) for lane in found["_source"]["lanes"] if lane not in leaving]

    def wanted(self, lane_list: list[str]) -> list[tuple[str, dict[str, Any]]]:
        """Every index that has to exist, with the body that creates it."""
        wanted: list[tuple[str, dict[str, Any]]] = [(self._names.lane(lane), {}) for lane in lane_list]
        for family in self._schema.families:
            index = f"{self._names.prefix}-{family.name}"
            if family.rolled:
                wanted.append((self._names.first(index), {"aliases": {index: {"is_write_index": True}}}))
            elif not family.numbered:
                wanted.append((index, {}))
        return wanted

    async def create(self, index: str, body: dict[str, Any]) -> None:
        """Create an index unless it, or the alias that it would carry, is there."""
        there = next(iter(body.get("aliases", {})), index)
        status, _ = await self._requests("HEAD", f"/{there}")
        if status == 200:
            return
        answer = await self._must("PUT", f"/{index}", body, allow=(400,))
        if "error" not in answer:
            self.created.append(index)
        elif error_of(answer)[0] != "resource_already_exists_exception":
            raise BootstrapFailed(f"PUT /{index}", 400, " ".join(error_of(answer)))

    async def upgrade(self, existing: dict[str, int]) -> None:
        """Add this release's fields to the indices that an older one made.

        One of history that has gone meanwhile, or that an operator keeps from any change, stops nobody: what is rolled
        takes no more rows.
        """
        for index, version in existing.items():
            family = self._family_of(index)
            if version < self._schema.version and family is not None:
                allow = (403, 404) if family.rolled else ()
                answer = await self._must("PUT", f"/{index}/_mapping", self._schema.mapping(family), allow=allow)
                error_type, reason = error_of(answer)
                if error_type and error_type not in ("cluster_block_exception", "index_not_found_exception"):
                    raise BootstrapFailed(f"PUT /{index}/_mapping", 403, f"{error_type} {reason}", _PRIVILEGES)
                if not error_type:
                    self.upgraded.append(index)

    async def check_aliases(self) -> None:
        """A rolled name must be an alias: an index of that name, made by somebody else, would take the writes."""
        for family in self._schema.families:
            alias = f"{self._names.prefix}-{family.name}"
            if family.rolled:
                status, answer = await self._requests("GET", f"/_alias/{alias}")
                if status != 200:
                    raise BootstrapFailed(
                        f"GET /_alias/{alias}",
                        status,
                        " ".join(error_of(answer)),
                        f"{alias!r} has to be an alias; if an index has that name, move it away",
                    )

    async def wait_for(self, indices: list[str]) -> None:
        """Until every primary is active: an index exists, with yellow health, a moment before it can be read."""
        path = f"/_cluster/health/{','.join(indices)}?timeout={WAIT_S}s&filter_path=status,active_primary_shards"
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            status, answer = await self._requests("GET", path)
            if status == 200 and answer["active_primary_shards"] >= len(indices):
                return
            if status != 200 or asyncio.get_running_loop().time() > deadline:
                reason = (
                    f"not every primary shard is active after {WAIT_S} s"
                    if status in (200, 408)
                    else " ".join(error_of(answer))
                )
                raise BootstrapFailed(f"GET {path}", status, reason, "ask GET /_cluster/allocation/explain")
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _family_of(self, index: str) -> Family | None:
        for family in self._schema.families:
            base = f"{self._names.prefix}-{family.name}"
            if index == base or ((family.rolled or family.numbered) and index.startswith(f"{base}-")):
                return family
        return None

    def _refuse_newer(self, found: int) -> None:
        if found > self._schema.version:
            raise SchemaTooNew(self._names.prefix, found, self._schema.version)

    async def _must(self, method: str, path: str, body: Any = None, *, allow: tuple[int, ...] = ()) -> Any:
        status, answer = await self._requests(method, path, body)
        if status < 300 or status in allow:
            return answer or {}
        advice = _PRIVILEGES if status in (401, 403) else ""
        raise BootstrapFailed(f"{method} {path}", status, " ".join(error_of(answer)), advice)


def _lifecycle_in(template: dict[str, Any]) -> dict[str, Any]:
    """What a template says of lifecycle, however it writes it: {} for one that leaves it out."""
    settings = template.get("template", {}).get("settings", {}).get("index", {})
    flat = {name.removeprefix("lifecycle."): settings[name] for name in settings if name.startswith("lifecycle.")}
    return {**settings.get("lifecycle", {}), **flat}


def _version_in(holder: dict[str, Any]) -> int:
    """The version in a `_meta`, 0 where none is."""
    return int(holder.get("_meta", {}).get("leasehold", {}).get("schema", 0))
