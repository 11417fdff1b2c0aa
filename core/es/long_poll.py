"""Waiting for a global checkpoint to advance: a request that Elasticsearch holds until there is something to say.

`GET /{index}/_fleet/global_checkpoints?wait_for_advance=true&wait_for_index=true&checkpoints=N&timeout=T` answers
`{"global_checkpoints": [M], "timed_out": false}` as soon as M > N, at once where it is so already, and
`{"global_checkpoints": [M], "timed_out": true}` after T. It is for indices of one shard (400 for any other). An index
that is removed meanwhile ends the wait with an error; with `wait_for_index` one that is not there, or has no active
primary, is waited for, and the error comes after T.
Source: Elastic, "Get global checkpoints" API (8.x).
"""

from __future__ import annotations

import msgspec
from elastic_transport import TransportError

from ..errors import StoreUnavailable
from ..settings import StoreSettings
from . import answers, failures
from .transport import ACCEPT_JSON, client_for

# One for each index that is watched, and room for those of which an answer is still on its way.
CONNECTIONS_PER_NODE = 64
# What the answer may take beyond the time that Elasticsearch was asked to wait.
_MARGIN_S = 10.0


class LongPoll:
    """Long polls, over connections of their own: however many wait, no commit waits for a connection.

    A node that does not answer a poll in time is avoided by polls alone. No connection is made before the first poll.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._client = client_for(settings, CONNECTIONS_PER_NODE)

    async def wait_past(self, index: str, checkpoint: int, *, wait_ms: int) -> int | None:
        """The global checkpoint once it is above `checkpoint`; None when it is not within `wait_ms`.

        Raises: StoreUnavailable; StoreRejected (400 or 405 where the cluster has no such request, 403, 404).
        """
        path = f"/{index}/_fleet/global_checkpoints"
        what = f"GET {path}"
        query = f"wait_for_advance=true&wait_for_index=true&checkpoints={checkpoint}&timeout={wait_ms}ms"
        try:
            meta, body = await self._client.transport.perform_request(
                "GET",
                f"{path}?{query}",
                headers={"accept": ACCEPT_JSON},
                request_timeout=wait_ms / 1_000 + _MARGIN_S,
                max_retries=0,
            )
        except TransportError as error:
            raise failures.no_answer(what, error, write=False) from error
        if meta.status != 200:
            raise failures.refused(what, meta.status, body, write=False)
        try:
            answer = answers.GLOBAL_CHECKPOINTS.decode(body)
        except msgspec.MsgspecError as error:
            raise failures.unreadable(what, error, write=False) from error
        if len(answer.global_checkpoints) != 1:
            raise StoreUnavailable(f"{what}: found {len(answer.global_checkpoints)} checkpoints; one shard has one")
        reached = answer.global_checkpoints[0]
        return reached if reached > checkpoint else None

    async def close(self) -> None:
        await self._client.close()
