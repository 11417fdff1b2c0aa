"""The backend that leaves the work to Elasticsearch's own index lifecycle management (ILM)."""

from __future__ import annotations

from collections.abc import Mapping

from ..names import IndexNames
from ..policies import Policy
from ..requests import Requests
from .interface import BackendName, Done, IndexStatus


class Managed:
    """Tells ILM the policies, and reads from it how far each index is."""

    name: BackendName = "ilm"
    run_on_a_server = False

    def __init__(self, requests: Requests, names: IndexNames) -> None:
        self._requests = requests
        self._names = names

    async def apply(self, policies: Mapping[str, Policy]) -> list[str]:
        return []

    async def pass_once(self, policies: Mapping[str, Policy], now_ms: int) -> list[Done]:
        return []

    async def status(self, policies: Mapping[str, Policy], now_ms: int) -> list[IndexStatus]:
        return []

    async def findings(self, policies: Mapping[str, Policy]) -> list[str]:
        return []
