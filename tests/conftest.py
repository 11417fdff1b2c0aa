"""What all tests share: one real Elasticsearch a session, names of their own in it, and which tests `make check` runs.

Nothing heavy is imported here: a single unit test starts at once.
"""

from __future__ import annotations

import json
import os
import secrets
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OWN_SERVER = "LEASEHOLD_TEST_ES_URL"
_TESTS = Path(__file__).parent
_QUICK = tuple(_TESTS / name for name in ("unit", "contract", "sim"))
_NOT_QUICK = ("elasticsearch", "slow")
_NAMES_IN_A_REQUEST = 50


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server by the fixture that it asks for, and `quick` what `make check` runs."""
    for item in items:
        if "elasticsearch_url" in getattr(item, "fixturenames", ()):
            item.add_marker("elasticsearch")
        in_quick_folder = any(item.path.is_relative_to(folder) for folder in _QUICK)
        if in_quick_folder and not any(item.get_closest_marker(name) for name in _NOT_QUICK):
            item.add_marker("quick")


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """A real Elasticsearch for the whole session: the one that `LEASEHOLD_TEST_ES_URL` names, else an embedded one."""
    named = os.environ.get(OWN_SERVER)
    if named:
        yield named.rstrip("/")
        return
    from leasehold.core.embedded import EmbeddedElasticsearch

    with EmbeddedElasticsearch() as server:
        yield server.url


@pytest.fixture
def index_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A prefix that no other test has. What a test made under it in Elasticsearch is deleted afterwards."""
    prefix = f"test-{secrets.token_hex(5)}"
    yield prefix
    if request.node.get_closest_marker("elasticsearch"):
        _delete_all_of(prefix, str(request.getfixturevalue("elasticsearch_url")))


def _delete_all_of(prefix: str, url: str) -> None:
    """Delete indices and templates by name, since a cluster may refuse to delete by wildcard."""
    rows = _answer("GET", f"{url}/_cat/indices/{prefix}*?h=index&format=json&expand_wildcards=all")
    names = [row["index"] for row in rows]
    for start in range(0, len(names), _NAMES_IN_A_REQUEST):
        _answer("DELETE", f"{url}/{','.join(names[start : start + _NAMES_IN_A_REQUEST])}?ignore_unavailable=true")
    for kind in ("index", "component"):
        stored = _answer("GET", f"{url}/_{kind}_template?filter_path=*.name").get(f"{kind}_templates", [])
        for name in (template["name"] for template in stored if template["name"].startswith(prefix)):
            _answer("DELETE", f"{url}/_{kind}_template/{name}")


def _answer(method: str, url: str) -> Any:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
