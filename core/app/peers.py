"""The way from replica to replica: one internal path, JSON both ways, shown a secret that only replicas know.

The path is not part of the public interface, so it stands in no route table and no OpenAPI document.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from ..errors import Unavailable
from ..peers import AnyPeerRequest, ClaimAt, PeerAnswer, Relayed

PEERS_PATH = "/_workflows/_peers"
SECRET_HEADER = "X-Leasehold-Peer"  # noqa: S105 (a header's name)

_ANSWER_WITHIN_S = 10.0
_CONNECT_WITHIN_S = 2.0
_encode = msgspec.json.Encoder().encode
_answer_decoder = msgspec.json.Decoder(PeerAnswer)
_request_decoder: msgspec.json.Decoder[AnyPeerRequest] = msgspec.json.Decoder(AnyPeerRequest)


class HttpPeers:
    """Implements `core.peers.Peers`. `secret` is set once the replica has read it from the control index."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.secret = ""

    async def ask(self, address: str, request: AnyPeerRequest) -> PeerAnswer:
        """One request, never repeated here. Raises: Relayed; Unavailable."""
        wait_s = request.wait_ms / 1_000 if isinstance(request, ClaimAt) else 0.0
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S + wait_s, connect=_CONNECT_WITHIN_S)
        try:
            async with self._session.post(
                address + PEERS_PATH, data=_encode(request), headers={SECRET_HEADER: self.secret}, timeout=timeout
            ) as response:
                body = await response.read()
            answer = _answer_decoder.decode(body)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            raise Unavailable(f"the replica at {address} does not answer: {error or type(error).__name__}") from error
        if answer.problem is not None:
            raise Relayed(answer.problem)
        return answer


@asynccontextmanager
async def http_peers() -> AsyncIterator[HttpPeers]:
    """Peers over a session of their own."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield HttpPeers(session)


def is_peer(shown: str | None, secret: str) -> bool:
    """Whether a request shows the secret. Takes the same time whatever was shown."""
    return (
        bool(secret)
        and shown is not None
        and hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), secret.encode())
    )


def read_request(body: bytes) -> AnyPeerRequest:
    """Raises: msgspec.DecodeError for what no replica of this release sends."""
    return _request_decoder.decode(body)


def encode_answer(answer: PeerAnswer) -> bytes:
    return _encode(answer)
