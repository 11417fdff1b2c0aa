"""Answers of other servers, read up to a bound."""

from __future__ import annotations

import aiohttp

from ..errors import StepFailed


async def read_bounded(response: aiohttp.ClientResponse, max_bytes: int, error_type: str, way_out: str) -> bytes:
    """The whole body. Raises: StepFailed, for good, as soon as it is known to be larger than `max_bytes`."""
    announced = None if response.method == "HEAD" else response.content_length
    chunks: list[bytes] = []
    size_bytes = 0
    if announced is None or announced <= max_bytes:
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                break
        else:
            return b"".join(chunks)
    raise StepFailed(
        error_type,
        f"the answer has more than {max_bytes} bytes, which is all that is read: {way_out}",
        retryable=False,
    )
