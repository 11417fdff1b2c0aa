"""A cluster with index lifecycle management, over HTTP: that backend's requests, answered as Elastic documents them.

No server that has ILM was there, so this stands in for it behind the real transport. Each request is held against
Elastic's published interface (`published_api`), and so is each answer. What ILM has come to is the test's to say
(`explain`). Sources: Elastic's API pages for ILM and their examples; the names of steps and what fills in defaults
(a policy is answered with them): org.elasticsearch.xpack.core.ilm, 8.19.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web

from .published_api import check_answer, check_request

_MODULES = ("lang-painless", "x-pack-ilm", "data-streams")

# What Elasticsearch fills in, by action.
_DEFAULTS: Mapping[str, dict[str, Any]] = {
    "delete": {"delete_searchable_snapshot": True},
    "allocate": {"include": {}, "exclude": {}, "require": {}},
    "shrink": {"allow_write_after_shrink": False},
    "searchable_snapshot": {"force_merge_index": True},
    "migrate": {"enabled": True},
}


class IlmStub:
    """One node. `changing` are the requests that change something; `faults` what was not as it is published."""

    def __init__(self) -> None:
        self.url = ""
        self.mode = "RUNNING"
        self.policies: dict[str, dict[str, Any]] = {}
        self.indices: dict[str, dict[str, Any]] = {}
        self.explain: dict[str, dict[str, Any]] = {}
        self.changing: list[str] = []
        self.faults: list[str] = []
        self.refusing: dict[str, tuple[int, str, str]] = {}

    def add(self, index: str, alias: str, *, writes: bool = False, rolled_at_ms: int | None = None) -> None:
        """An index behind an alias, as our templates make it without ILM."""
        self.indices[index] = {
            "alias": alias,
            "writes": writes,
            "rolled_at_ms": rolled_at_ms,
            "settings": {
                "index.creation_date": "1000",
                "index.number_of_shards": "1",
                "index.number_of_replicas": "1",
                "index.auto_expand_replicas": "0-1",
            },
        }

    def refuse(self, beginning: str, status: int, error_type: str, reason: str) -> None:
        """Requests that begin so (`PUT /_ilm`) are refused from now on."""
        self.refusing[beginning] = (status, error_type, reason)

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        body = await request.json() if request.can_read_body else None
        path = request.path_qs
        if path.startswith("/_nodes"):
            modules = [{"name": name} for name in _MODULES]
            return web.json_response({"nodes": {"n1": {"version": "8.19.8", "modules": modules}}})
        try:
            entry = check_request(request.method, path, body)
        except AssertionError as error:
            self.faults.append(str(error))
            return _failed(400, "illegal_argument_exception", str(error))
        if request.method != "GET":
            self.changing.append(f"{request.method} {request.path}")
        for beginning, refusal in self.refusing.items():
            if f"{request.method} {path}".startswith(beginning):
                return _failed(*refusal)
        status, answer = self._answers(entry, request.path, body)
        if status == 200:
            try:
                check_answer(entry, answer)
            except AssertionError as error:
                self.faults.append(str(error))
        return web.json_response(answer, status=status)

    def _answers(self, entry: str, path: str, body: Any) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        match entry:
            case "GET /_ilm/policy/{policy}":
                return self._policy(parts[2])
            case "PUT /_ilm/policy/{policy}":
                version = self.policies.get(parts[2], {"version": 0})["version"] + 1
                policy = _filled(body["policy"])
                self.policies[parts[2]] = {
                    "version": version,
                    "modified_date": "2026-01-01T00:00:00.000Z",
                    "policy": policy,
                    "in_use_by": {"indices": [], "data_streams": [], "composable_templates": []},
                }
                return 200, {"acknowledged": True}
            case "GET /_ilm/status":
                return 200, {"operation_mode": self.mode}
            case "GET /{index}/_ilm/explain":
                return 200, {"indices": {name: self._explained(name) for name in self._named(parts[0])}}
            case "PUT /{index}/_settings":
                if parts[0] not in self.indices:
                    return 404, _error(404, "index_not_found_exception", f"no such index [{parts[0]}]")
                self.indices[parts[0]]["settings"] |= body
                return 200, {"acknowledged": True}
            case "GET /{index}/_alias":
                return 200, {
                    name: {"aliases": {found["alias"]: {"is_write_index": found["writes"]}}}
                    for name, found in self._fitting(parts[0])
                }
            case "GET /_cluster/state/{metric}/{index}":
                return 200, {"metadata": {"indices": {n: _metadata(found) for n, found in self._fitting(parts[3])}}}
            case "GET /{index}/_stats/{metric}":
                primaries = {"docs": {"count": 7}, "store": {"size_in_bytes": 700}}
                shards = {"0": [{"segments": {"count": 3}}]}
                return 200, {
                    "indices": {name: {"primaries": primaries, "shards": shards} for name, _ in self._fitting(parts[0])}
                }
            case "GET /_tasks":
                return 200, {"nodes": {}}
            case "GET /_cluster/settings":
                return 200, {"persistent": {}, "transient": {}}
        raise AssertionError(f"the stub does not answer {entry}")

    def _policy(self, name: str) -> tuple[int, Any]:
        if name not in self.policies:
            return 404, _error(404, "resource_not_found_exception", f"Lifecycle policy not found: {name}")
        return 200, {name: deepcopy(self.policies[name])}

    def _explained(self, name: str) -> dict[str, Any]:
        settings = self.indices[name]["settings"]
        if "index.lifecycle.name" not in settings:
            return {"index": name, "managed": False}
        told = {"index": name, "managed": True, "policy": settings["index.lifecycle.name"], "skip": False}
        return {**told, **self.explain.get(name, {})}

    def _named(self, aliases: str) -> list[str]:
        return [name for name, found in self.indices.items() if found["alias"] in aliases.split(",")]

    def _fitting(self, patterns: str) -> list[tuple[str, dict[str, Any]]]:
        wanted = patterns.split(",")
        return [
            (name, found)
            for name, found in self.indices.items()
            if any(fnmatchcase(name, pattern) for pattern in wanted)
        ]


def _metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    rolled_at_ms = found["rolled_at_ms"]
    rolled = {} if rolled_at_ms is None else {found["alias"]: {"met_conditions": {}, "time": rolled_at_ms}}
    return {"state": "open", "settings": found["settings"], "aliases": [found["alias"]], "rollover_info": rolled}


def _filled(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as Elasticsearch gives it back."""
    phases = {
        name: {
            "min_age": phase.get("min_age", "0ms"),
            "actions": {
                action: {**_DEFAULTS.get(action, {}), **given} for action, given in phase.get("actions", {}).items()
            },
        }
        for name, phase in policy["phases"].items()
    }
    return {**policy, "phases": phases}


def _error(status: int, error_type: str, reason: str) -> dict[str, Any]:
    cause = {"type": error_type, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


def _failed(status: int, error_type: str, reason: str) -> web.Response:
    return web.json_response(_error(status, error_type, reason), status=status)


@asynccontextmanager
async def ilm_stub() -> AsyncIterator[IlmStub]:
    """A stub that answers on a loopback port of its own until the context ends. Its faults fail the test."""
    stub = IlmStub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stub
    finally:
        await runner.cleanup()
    assert stub.faults == []
