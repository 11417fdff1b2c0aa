"""Handing lanes over in order, in well under a second: answer what was begun, give back, tell the next owner.

Nothing here is needed for safety. A bulk that is still in flight when its lane is given back is answered if it landed
before the next owner's fence, and refused by that fence if not; what was not delivered to history stands in the
outboxes. So every wait has a bound, and the bounds are what keeps the gap short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

import structlog

from ...errors import LeaseholdError, StoreError
from ...peers import AnyPeerRequest, Peers
from ..lane import Lane

log = structlog.get_logger(__name__)

_ANSWER_WITHIN_S = 0.3
_TELL_WITHIN_S = 0.5


async def answer_all(lanes: Sequence[Lane]) -> None:
    """Let the lanes take nothing new, and wait until what was begun in them is written and answered.

    After `_ANSWER_WITHIN_S` it stays as it is: callers of a bulk in flight hear of it when it comes back, the others
    are told to ask the next owner.
    """
    for lane in lanes:
        lane.leave()
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            for lane in lanes:
                await lane.committer.drain()
    except TimeoutError:
        left = {lane.name: lane.committer.changed for lane in lanes if lane.committer.changed}
        log.warning("lane.handed_over_early", within_s=_ANSWER_WITHIN_S, unwritten=left)


async def within(limit_s: float, write: Coroutine[None, None, None]) -> None:
    """Await a write of the control index. If it fails or takes too long, the leases run out by themselves."""
    try:
        async with asyncio.timeout(limit_s):
            await write
    except (TimeoutError, StoreError) as error:
        log.warning("lane.release_failed", error=repr(error))


async def tell(peers: Peers, addresses: Sequence[str], request: AnyPeerRequest) -> None:
    """Send the same request to several peers at once. Who does not hear it finds out at its next look."""
    try:
        async with asyncio.timeout(_TELL_WITHIN_S):
            await asyncio.gather(*(_tell_one(peers, address, request) for address in addresses))
    except TimeoutError:
        log.info("peers.not_told", addresses=list(addresses))


async def _tell_one(peers: Peers, address: str, request: AnyPeerRequest) -> None:
    try:
        await peers.ask(address, request)
    except LeaseholdError as error:
        log.info("peers.not_told", address=address, error=str(error))
