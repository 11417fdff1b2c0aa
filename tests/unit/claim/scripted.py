"""Peers for the client: a real HTTP server that answers by script, and the same without sockets for virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiohttp import web
from leasehold.claim.transport import Answer, Request

PROBLEM = "urn:leasehold:problem:"


def problem(status: int, word: str, detail: str = "", **fields: Any) -> Answer:
    document = {"type": PROBLEM + word, "title": word, "status": status, "detail": detail, **fields}
    return Answer(status, msgspec.json.encode(document))


def said(body: Any, status: int = 200, **fields: Any) -> Answer:
    return Answer(status, msgspec.json.encode(body), **fields)


class Heard(msgspec.Struct):
    """A request as the peer saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None
    server: str = ""


Reply = Answer | Exception | Callable[[Heard], Answer | Awaitable[Answer]]


class Script:
    """Answers in order; the last one again and again."""

    def __init__(self, *replies: Reply) -> None:
        self.heard: list[Heard] = []
        self._replies = list(replies)

    async def answer(self, heard: Heard) -> Answer:
        self.heard.append(heard)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Answer):
            return reply
        found = reply(heard)
        return found if isinstance(found, Answer) else await found


class ScriptedExchange:
    """A network without sockets. `servers` maps a host to who answers there; an unknown one is an error of the test."""

    def __init__(self, **servers: Script) -> None:
        self._servers = servers
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    async def __call__(self, request: Request, within_s: float) -> Answer:
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body: Any = request.body
        if body is not None and request.headers["Content-Type"] == "application/json":
            body = msgspec.json.decode(body)
        heard = Heard(request.method, parts.path, query, request.headers, body, parts.netloc)
        return await self._servers[parts.netloc].answer(heard)


@asynccontextmanager
async def served(script: Script) -> AsyncIterator[str]:
    """The script behind a real HTTP server on a free port of this machine; its address."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.read()
        is_json = request.content_type == "application/json" and raw
        body = msgspec.json.decode(raw) if is_json else raw.decode() or None
        query = dict(request.query)
        heard = Heard(request.method, request.rel_url.raw_path, query, dict(request.headers), body, request.host)
        try:
            answer = await script.answer(heard)
        except ConnectionError:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        headers = {"Retry-After": answer.retry_after, "Location": answer.location}
        return web.Response(
            status=answer.status,
            body=answer.body,
            content_type="application/json",
            headers={name: value for name, value in headers.items() if value is not None},
        )

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
