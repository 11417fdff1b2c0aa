"""Administrative requests to the model of Elasticsearch, as far as the ageing of history makes them.

`tests/contract` compares their answers with a real server's. A request that is not known here, or says more than the
model understands, fails the test that makes it. A force-merge is done by the time that it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from leasehold.core.errors import StoreRejected
from leasehold.ilm.policies import time_ms

from .model_cluster import ModelElasticsearch
from .model_documents import ModelDoesNotKnow
from .model_index import ModelIndex

Answer = tuple[int, Any]
Query = Mapping[str, str]
Effect = Callable[[ModelElasticsearch, list[str], Query, Any], Answer]

_ACKNOWLEDGED = {"acknowledged": True}
_EMPTY_BYTES = 227


def administer(cluster: ModelElasticsearch, method: str, path: str, body: Any) -> Answer:
    """Carry one out: its status and its JSON."""
    bare, _, query = path.partition("?")
    for known, pattern, effect in _ROUTES:
        match = re.fullmatch(pattern, bare)
        if known == method and match is not None:
            try:
                return effect(cluster, [unquote(one) for one in match.groups()], dict(parse_qsl(query)), body)
            except StoreRejected as error:
                cause = {"type": error.error_type, "reason": str(error)}
                return error.status, {"error": {"root_cause": [cause], **cause}, "status": error.status}
    raise ModelDoesNotKnow(f"{method} {path}")


def _aliases(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    return 200, {index.name: {"aliases": _alias_flags(cluster, index)} for index in cluster.matching(names[0])}


def _alias_flags(cluster: ModelElasticsearch, index: ModelIndex) -> dict[str, Any]:
    return {alias: {"is_write_index": write} for alias, write in cluster.aliases_of(index.name).items()}


def _metadata(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    found = {
        index.name: {
            "state": "open",
            "settings": _settings_of(index),
            "aliases": list(cluster.aliases_of(index.name)),
            "rollover_info": {alias: {"met_conditions": {}, "time": at} for alias, at in index.rolled_over.items()},
        }
        for index in cluster.matching(names[0])
    }
    return 200, {"metadata": {"indices": found}} if found else {}


def _settings_of(index: ModelIndex) -> dict[str, str]:
    fixed = {"index.number_of_shards": "1", "index.uuid": index.uuid, "index.provided_name": index.name}
    return fixed | index.settings | ({"index.blocks.write": "true"} if index.write_blocked else {})


def _stats(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    found = {
        index.name: {
            "primaries": {"docs": {"count": len(index.visible)}, "store": {"size_in_bytes": _bytes(index)}},
            "shards": {"0": [{"segments": {"count": index.segments}}]},
        }
        for index in cluster.matching(names[0])
    }
    return 200, {"indices": found} if found else {}


def _bytes(index: ModelIndex) -> int:
    return _EMPTY_BYTES + sum(len(document.source) for document in index.documents.values())


def _roll_over(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    alias, new = names
    if not cluster.is_alias(alias):
        raise StoreRejected(f"rollover target [{alias}] does not exist", 404, "resource_not_found_exception")
    old = cluster.write_index(alias)
    if new in cluster.indices:
        reason = f"index [{new}/{cluster.indices[new].uuid}] already exists"
        raise StoreRejected(reason, 400, "resource_already_exists_exception")
    met = {name: _is_met(cluster, old, name, value) for name, value in (body or {}).get("conditions", {}).items()}
    wanted = any(ok for name, ok in met.items() if name.startswith("max_")) or not met
    rolled = wanted and all(ok for name, ok in met.items() if name.startswith("min_"))
    if rolled:
        cluster.roll_over(alias, new)
    return 200, {
        "acknowledged": rolled,
        "shards_acknowledged": rolled,
        "old_index": old.name,
        "new_index": new,
        "rolled_over": rolled,
        "dry_run": False,
        "lazy": False,
        "conditions": {f"[{name}: {body['conditions'][name]}]": ok for name, ok in met.items()},
    }


def _is_met(cluster: ModelElasticsearch, index: ModelIndex, name: str, value: Any) -> bool:
    if name == "max_age":
        return cluster.wall_ms() - int(index.settings["index.creation_date"]) >= (time_ms(value) or 0)
    if name in ("max_docs", "max_primary_shard_docs", "min_docs"):
        return len(index.visible) >= int(value)
    if name in ("max_primary_shard_size", "max_size"):
        # No index of the model grows so large.
        return False
    raise ModelDoesNotKnow(f"condition {name}")


def _put_settings(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    index = _existing(cluster, names[0])
    for name, value in body.items():
        if name == "index.blocks.write":
            index.write_blocked = str(value).lower() == "true"
        elif value is None:
            index.settings.pop(name, None)
        else:
            index.settings[name] = str(value)
    return 200, _ACKNOWLEDGED


def _block_writes(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    index = _existing(cluster, names[0])
    blocked = [] if index.write_blocked else [{"name": index.name, "blocked": True}]
    index.write_blocked = True
    return 200, {"acknowledged": True, "shards_acknowledged": bool(blocked), "indices": blocked}


def _force_merge(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    if query.get("wait_for_completion") != "false":
        raise ModelDoesNotKnow("a force-merge that is waited for")
    # That of an index which is not there is a task too, which fails.
    if names[0] in cluster.indices:
        cluster.indices[names[0]].merge(int(query["max_num_segments"]))
    return 200, {"task": "model:1"}


def _nothing(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    return 200, {}


def _cluster_settings(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    return 200, {"persistent": {}, "transient": {}}


def _master_time(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    return 200, {"nodes": {"model": {"timestamp": cluster.wall_ms()}}}


def _delete_index(cluster: ModelElasticsearch, names: list[str], query: Query, body: Any) -> Answer:
    _existing(cluster, names[0])
    cluster.delete_index(names[0])
    return 200, _ACKNOWLEDGED


def _existing(cluster: ModelElasticsearch, name: str) -> ModelIndex:
    if name not in cluster.indices:
        raise StoreRejected(f"no such index [{name}]", 404, "index_not_found_exception")
    return cluster.indices[name]


_NAME = "/([^/_][^/]*)"
_ROUTES: tuple[tuple[str, str, Effect], ...] = (
    ("GET", f"{_NAME}/_alias", _aliases),
    ("GET", "/_cluster/state/metadata/([^/]+)", _metadata),
    ("GET", f"{_NAME}/_stats/docs,store,segments", _stats),
    ("GET", "/_tasks", _nothing),
    ("GET", "/_cluster/settings", _cluster_settings),
    ("GET", "/_nodes/_master/stats/os", _master_time),
    ("POST", f"{_NAME}/_rollover/([^/]+)", _roll_over),
    ("PUT", f"{_NAME}/_settings", _put_settings),
    ("PUT", f"{_NAME}/_block/write", _block_writes),
    ("POST", f"{_NAME}/_forcemerge", _force_merge),
    ("DELETE", _NAME, _delete_index),
)
