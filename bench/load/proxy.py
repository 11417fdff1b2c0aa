"""The role that stands between a replica and Elasticsearch and counts what passes: a count that nobody can forget.

Requests are read as far as telling them apart takes; answers are passed on as bytes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from threading import Event, Thread
from time import monotonic_ns
from urllib.parse import urlsplit

from .http1 import Address
from .orders import CountingProxySetup, CountRequests, RequestCounts

_CHUNK_BYTES = 65_536
# A replica's bulks are bounded by bytes, their heads are not long.
_HEAD_BYTES = 1 << 20
# Behind these comes an id, or a list of them, which would make each request one of a kind.
_BEFORE_IDS = ("_doc", "_create", "_update", "_source")


class CountingProxy:
    """Listens on `port` of the loopback from the setup on, for as long as the process runs."""

    def __init__(self, setup: CountingProxySetup) -> None:
        self._setup = setup
        self._counts: Counter[str] = Counter()
        self._listening = Event()
        self._failure: BaseException | None = None
        Thread(target=self._run, daemon=True).start()
        self._listening.wait()
        if self._failure is not None:
            raise self._failure

    def perform(self, order: CountRequests) -> RequestCounts:
        return RequestCounts(monotonic_ns(), dict(self._counts))

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
            self._listening.set()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._setup.port, limit=_HEAD_BYTES)
        self._listening.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            upstream, onward = await _connect(self._setup.elasticsearch)
        except OSError:
            answers.close()
            return
        back = asyncio.create_task(_copy(upstream, answers))
        try:
            while True:
                head = await requests.readuntil(b"\r\n\r\n")
                self._counts[named(head)] += 1
                onward.write(head)
                await _pass_body(requests, onward, head.lower())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            back.cancel()
            onward.close()
            answers.close()


def named(head: bytes) -> str:
    """What a request is, without what tells it from others of its kind: `POST workflow-lane-00/_bulk`."""
    method, _, rest = head.partition(b" ")
    parts = rest.partition(b" ")[0].partition(b"?")[0].decode(errors="replace").strip("/").split("/")
    for position, part in enumerate(parts):
        if part in _BEFORE_IDS:
            parts = parts[: position + 1]
            break
    return f"{method.decode(errors='replace')} {'/'.join(parts)}"


async def _connect(server: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(server.url)
    secure = parts.scheme == "https"
    context = ssl.create_default_context(cafile=server.ca_certs) if secure else None
    return await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=context, limit=_CHUNK_BYTES
    )


async def _pass_body(requests: asyncio.StreamReader, onward: asyncio.StreamWriter, head: bytes) -> None:
    if b"\r\ntransfer-encoding: chunked" in head:
        while True:
            line = await requests.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            onward.write(line + await requests.readexactly(size + 2))
            if size == 0:
                return
    _, found, rest = head.partition(b"\r\ncontent-length:")
    left = int(rest.partition(b"\r\n")[0]) if found else 0
    while left:
        chunk = await requests.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise ConnectionError("the request ended early")
        left -= len(chunk)
        onward.write(chunk)
        await onward.drain()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK_BYTES):
        target.write(chunk)
        await target.drain()
    target.close()
