"""What a cluster has is what every node of it has loaded."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.ilm import BootstrapFailed, Capabilities, UnsupportedServer, detect
from leasehold.ilm.capabilities import capabilities_of

FULL = ["lang-painless", "x-pack-ilm", "x-pack-fleet", "wildcard", "data-streams", "x-pack-esql", "transport-netty4"]
EMBEDDED = ["apm", "transport-netty4", "x-pack-core", "x-pack-security"]


def node(version: str, modules: list[str]) -> dict[str, Any]:
    return {"version": version, "modules": [{"name": name} for name in modules]}


def answering(status: int, body: Any) -> Any:
    async def request(method: str, path: str, body_sent: Any = None) -> tuple[int, Any]:
        return status, body

    return request


def test_a_full_server_has_everything() -> None:
    assert capabilities_of([node("9.3.2", FULL)]) == Capabilities("9.3.2", True, True, True, True, True, True)


def test_the_embedded_server_has_none_of_it() -> None:
    found = capabilities_of([node("8.19.8", EMBEDDED)])

    assert found == Capabilities("8.19.8")
    assert found.described() == (
        "Elasticsearch 8.19.8, with no extras, without painless, ilm, fleet, wildcard, data_streams, esql"
    )


def test_a_capability_counts_only_where_every_node_has_it_and_the_oldest_version_counts() -> None:
    found = capabilities_of([node("8.19.10", FULL), node("8.19.9", [*EMBEDDED, "x-pack-ilm"])])

    assert found == Capabilities("8.19.9", ilm=True)


async def test_a_server_before_8_is_refused() -> None:
    nodes = {"n": node("7.17.28", FULL)}

    with pytest.raises(UnsupportedServer, match=r"found Elasticsearch 7.17.28; 8.x or newer is needed"):
        await detect(answering(200, {"nodes": nodes}))


@pytest.mark.parametrize("body", [None, [], {}, {"hello": "world"}])
async def test_what_is_no_elasticsearch_is_refused(body: Any) -> None:
    with pytest.raises(UnsupportedServer, match="no Elasticsearch"):
        await detect(answering(200, body))


async def test_a_user_who_may_not_ask_is_told_what_is_missing() -> None:
    body = {"error": {"type": "security_exception", "reason": "action is unauthorized"}, "status": 403}

    with pytest.raises(BootstrapFailed, match=r"403 security_exception action is unauthorized; .* `monitor`"):
        await detect(answering(403, body))
