"""The backend for clusters without index lifecycle management: it does the work itself, pass by pass."""

from __future__ import annotations

from collections.abc import Mapping

from ...names import IndexNames
from ...policies import Policy
from ...requests import Requests
from ..interface import BackendName, Done, IndexStatus


class Ager:
    """One pass looks at what stands, works out what is due and asks for it."""

    name: BackendName = "ager"
    run_on_a_server = True

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
