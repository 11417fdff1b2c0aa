"""A network between replicas in one process: what they send is encoded and decoded, takes time, and can be cut off."""

from __future__ import annotations

import asyncio

import msgspec
from leasehold.core.errors import Unavailable
from leasehold.core.peers import AnyPeerRequest, PeerAnswer, Relayed
from leasehold.core.replica import Replica

ONE_WAY_S = 0.0005


class ModelPeers:
    """Implements `core.peers.Peers` among the replicas that `join`. `asked` counts requests by operation."""

    def __init__(self) -> None:
        self._replicas: dict[str, Replica] = {}
        self.cut_off: set[str] = set()
        self.asked: dict[str, int] = {}

    def join(self, address: str, replica: Replica) -> None:
        self._replicas[address] = replica

    async def ask(self, address: str, request: AnyPeerRequest) -> PeerAnswer:
        operation = request.__struct_config__.tag
        self.asked[str(operation)] = self.asked.get(str(operation), 0) + 1
        await asyncio.sleep(ONE_WAY_S)
        if address in self.cut_off or address not in self._replicas:
            raise Unavailable(f"{address} does not answer")
        sent: AnyPeerRequest = msgspec.json.decode(msgspec.json.encode(request), type=AnyPeerRequest)
        answered = await self._replicas[address].answer_peer(sent)
        answer = msgspec.json.decode(msgspec.json.encode(answered), type=PeerAnswer)
        await asyncio.sleep(ONE_WAY_S)
        if answer.problem is not None:
            raise Relayed(answer.problem)
        return answer
