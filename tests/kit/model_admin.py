"""Administrative requests to the model of Elasticsearch, as far as the scheduler makes them; `tests/contract` compares.

A request that is not known here fails the test that makes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from leasehold.core.errors import StoreRejected

from .model_cluster import ModelElasticsearch
from .model_documents import ModelDoesNotKnow

Answer = tuple[int, Any]
Effect = Callable[[ModelElasticsearch, list[str], dict[str, str], Any], Answer]


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


def _delete_index(cluster: ModelElasticsearch, names: list[str], query: dict[str, str], body: Any) -> Answer:
    found = names[0].split(",")
    for name in found:
        if name not in cluster.indices:
            if query.get("ignore_unavailable") == "true":
                continue
            raise StoreRejected(f"no such index [{name}]", 404, "index_not_found_exception")
    for name in found:
        if name in cluster.indices:
            cluster.delete_index(name)
    return 200, {"acknowledged": True}


_ROUTES: tuple[tuple[str, str, Effect], ...] = (("DELETE", "/([^/_][^/]*)", _delete_index),)
