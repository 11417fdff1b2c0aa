"""A replica in this process, answering HTTP on a free loopback port, and raw talk with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec
from leasehold.claim.wire import Problem
from leasehold.core.app.serve import address_of, answering, listen
from leasehold.core.app.web.surface import Surface
from leasehold.core.es import connect
from leasehold.core.metrics import Metrics
from leasehold.core.opening import open_replica
from leasehold.core.replica import Replica
from leasehold.core.settings import LaneSettings, LimitSettings, ServerSettings, Settings, StoreSettings
from leasehold.ilm import CURRENT

_ANSWER_WITHIN_S = 20.0


class Answering(NamedTuple):
    """One replica and how to reach it."""

    url: str
    port: int
    replica: Replica
    surface: Surface
    metrics: Metrics

    @property
    def unexpected_errors(self) -> float:
        """How many requests were answered 500 so far."""
        return self.metrics.registry.get_sample_value("leasehold_unexpected_errors_total") or 0.0


class Answer(NamedTuple):
    """An HTTP answer as it came over the socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> Problem:
        """The problem document; fails unless the answer is one, in form and in status."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = msgspec.json.decode(self.body, type=Problem)
        assert problem.status == self.status
        assert problem.type.startswith("urn:leasehold:problem:")
        assert problem.title
        assert problem.detail
        assert "Traceback" not in self.body.decode()
        return problem


@asynccontextmanager
async def answering_replica(
    elasticsearch_url: str, index_prefix: str, limits: LimitSettings | None = None
) -> AsyncIterator[Answering]:
    """A replica with lanes of its own under `index_prefix`; what it made in Elasticsearch is removed in the end."""
    settings = Settings(
        store=StoreSettings(urls=(elasticsearch_url,), index_prefix=index_prefix),
        lanes=LaneSettings(lanes=2),
        limits=limits or LimitSettings(),
        server=ServerSettings(port=0),
    )
    metrics = Metrics()
    sock = listen(settings.server)
    try:
        port = sock.getsockname()[1]
        settings = msgspec.structs.replace(settings, server=ServerSettings(port=port))
        async with (
            open_replica(settings, metrics=metrics) as replica,
            answering(replica, settings, metrics, sock) as surface,
        ):
            yield Answering(address_of(sock), port, replica, surface, metrics)
    finally:
        sock.close()
        await _remove(settings.store)


async def _remove(store_settings: StoreSettings) -> None:
    """Remove every index and template of one prefix."""
    prefix = store_settings.index_prefix
    async with connect(store_settings) as store:
        path = f"/_cluster/state/metadata/{prefix}-*?filter_path=metadata.indices.*.state"
        _, found = await store.request("GET", path)
        indices = found.get("metadata", {}).get("indices", {})
        if indices:
            await store.request("DELETE", f"/{','.join(indices)}")
        for family in CURRENT.families:
            await store.request("DELETE", f"/_index_template/{prefix}-{family.name}")
        await store.request("DELETE", f"/_component_template/{prefix}-common")


async def send_raw(port: int, *parts: bytes) -> Answer:
    """Send bytes on a new connection and read one answer. Raises: EOFError when the connection ends without one."""
    async with asyncio.timeout(_ANSWER_WITHIN_S), connected(port) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await read_answer(reader)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the server, closed with the context."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader, *, with_body: bool = True) -> Answer:
    """The next answer of a connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    length = int(headers.get("content-length", "0")) if with_body else 0
    return Answer(int(lines[0].split()[1]), headers, await reader.readexactly(length))


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """A plain HTTP/1.1 request; `Content-Length` is added for a body unless a header says how long it is."""
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
    named = [header.lower() for header in headers]
    if body and not any(name.startswith(("content-length", "transfer-encoding")) for name in named):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def json_request(method: str, target: str, value: Any, *headers: str) -> bytes:
    """A request with a JSON body: bytes as they are, anything else encoded."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return request(method, target, "Content-Type: application/json", *headers, body=body)
