"""Each test of the contract runs on the model and, where one is to be had, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from leasehold.core.es import connect
from leasehold.core.ports import Store
from leasehold.core.settings import StoreSettings

from .ground import Ground, ModelGround, ServerGround


@pytest.fixture(params=["model", pytest.param("server", marks=pytest.mark.elasticsearch)])
def server_url(request: pytest.FixtureRequest) -> str | None:
    """The address of the real server; None where the test is to run on the model."""
    return str(request.getfixturevalue("elasticsearch_url")) if request.param == "server" else None


@pytest.fixture
async def ground(server_url: str | None, index_prefix: str) -> AsyncIterator[Ground]:
    if server_url is None:
        yield ModelGround(index_prefix)
        return
    async with connect(StoreSettings(urls=(server_url,))) as store:
        yield ServerGround(store, index_prefix)


@pytest.fixture
def store(ground: Ground) -> Store:
    return ground.store


@pytest.fixture
async def index(ground: Ground) -> str:
    """An empty index with one field of each type."""
    return await ground.make_index()
