"""From aiohttp's requests to operations, and from their replies to bytes.

One coroutine answers every request; there is no router, middleware or application of aiohttp's in between. That is
for two reasons: every answer, also to what aiohttp itself rejects, is a problem document, and a request costs
little more than its parsing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import msgspec
import structlog
from aiohttp import web

from ....claim.wire import Problem
from ...errors import InvalidRequest, LeaseholdError
from ...principal import Principal
from ...problems import problem as problem_document
from ..authentication import DevelopmentAuthentication
from ..peers import PEERS_PATH, SECRET_HEADER, encode_answer, is_peer, read_request
from ..problems import PROBLEM_TYPE, document_of, headers_of
from ..words import shown
from .bodies import read_body
from .endpoint import Endpoint, body_limit_bytes
from .openapi import openapi_document
from .router import Router
from .routes import ROUTES, Route
from .surface import Reply, Surface

log = structlog.get_logger(__name__)

_UNMATCHED = "none"
_CLIENT_LEFT = 499
_encode = msgspec.json.Encoder().encode
_SERVER = {"Server": "leasehold"}
_NO_ACCESS_LOG: dict[str, Any] = {"access_log": None}
_NOBODY = Principal(name="", tenant="")


class HttpSurface:
    """Answers every request of one server; an instance is the coroutine function that `web.Server` takes."""

    def __init__(self, surface: Surface, *, version: str, routes: Sequence[Route] = ROUTES) -> None:
        self._surface = surface
        self._authentication = DevelopmentAuthentication()
        self._router = Router([Endpoint(route, surface.limits) for route in routes])
        surface.openapi = _encode(openapi_document(routes, version))

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        started_s = perf_counter()
        label, status = _UNMATCHED, _CLIENT_LEFT
        endpoint: Endpoint | None = None
        values: list[str] = []
        try:
            if request.method == "OPTIONS":
                response = self._options(request)
            elif request.rel_url.raw_path == PEERS_PATH and self._from_peer(request):
                label = f"POST {PEERS_PATH}"
                response = await self._answer_peer(request)
            else:
                endpoint, values = self._router.find(request.method, request.rel_url.raw_path)
                label = endpoint.label
                response = await self._answer(endpoint, values, request)
            status = response.status
        except LeaseholdError as error:
            response = self._refused(error, label, _subject(endpoint, values))
            status = response.status
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets an answer
            if isinstance(error, ConnectionError) and _gone(request):
                return web.Response(status=_CLIENT_LEFT)  # for aiohttp, which finds out that it can't be written
            response = self._unexpected(label, _subject(endpoint, values))
            status = response.status
        finally:
            self._surface.metrics.request(label, status, perf_counter() - started_s)
        return response

    async def _answer(self, endpoint: Endpoint, values: list[str], request: web.BaseRequest) -> web.Response:
        headers = request.headers
        principal = _NOBODY if endpoint.open else self._authentication.principal(headers)
        parameters = endpoint.parameters.read(values, request.rel_url.raw_query_string, headers)
        body = await endpoint.read(request)
        reply = await endpoint.operation(self._surface, principal, parameters, body)
        response = _response(reply)
        if reply.undelivered is not None:
            await self._deliver(reply.undelivered, response, request)
        return response

    def _from_peer(self, request: web.BaseRequest) -> bool:
        """Without the secret the path is one that nothing answers."""
        shown_secret = request.headers.get(SECRET_HEADER)
        return request.method == "POST" and is_peer(shown_secret, self._surface.replica.peer_secret)

    async def _answer_peer(self, request: web.BaseRequest) -> web.Response:
        body = await read_body(request, body_limit_bytes("many", self._surface.limits))
        try:
            asked = read_request(body)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"this replica does not understand its peer's request: {error}") from None
        answer = await self._surface.replica.answer_peer(asked)
        response = web.Response(body=encode_answer(answer), headers={"Content-Type": "application/json", **_SERVER})
        if answer.steps:
            given_back = partial(self._surface.replica.release_all, asked.principal, answer.steps)
            await self._deliver(given_back, response, request)
        return response

    async def _deliver(
        self, undelivered: Callable[[], Awaitable[None]], response: web.Response, request: web.BaseRequest
    ) -> None:
        """Write an answer here and now, so that leases of a client that has gone can be given back."""
        try:
            if _gone(request):
                raise ConnectionResetError("the client left before its answer")
            await response.prepare(request)
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            self._surface.in_background(_given_back(undelivered))
            raise

    def _options(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
        allow = self._router.allow(path) if path != "*" else "DELETE, GET, HEAD, OPTIONS, POST, PUT"
        return web.Response(status=204, headers={"Allow": allow, **_SERVER})

    def _refused(self, error: LeaseholdError, label: str, subject: dict[str, str]) -> web.Response:
        problem = document_of(error)
        if problem.status == 500:
            return self._unexpected(label, subject)
        log.debug("refused", route=label, status=problem.status, error=str(error), **subject)
        return _problem_response(problem, headers_of(error, problem))

    def _unexpected(self, label: str, subject: dict[str, str]) -> web.Response:
        """Whatever was not foreseen: counted, logged with its traceback, answered without it."""
        log.exception("unexpected_error", route=label, **subject)
        self._surface.metrics.unexpected()
        return _problem_response(problem_document("internal-error", "the server's log has the details"), {})


class ProblemProtocol(web.RequestHandler):
    """aiohttp's protocol, whose own rejections (what is no HTTP) are problem documents too."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called for what aiohttp can't parse; `HttpSurface` itself lets nothing through."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if status < 500:
            reason = (message or "it breaks the protocol").strip().splitlines()[0]
            document = problem_document("invalid-request", f"this is no valid HTTP request: {shown(reason)}", status)
        else:
            log.error("unexpected_error", status=status, exc_info=exc)
            document = problem_document("internal-error", "the server's log has the details")
        response = _problem_response(document, {})
        response.force_close()
        return response


class HttpServer(web.Server):
    """A server whose connections speak `ProblemProtocol`, and whose operations end when their client leaves."""

    def __init__(self, http: HttpSurface) -> None:
        super().__init__(http, handler_cancellation=True)

    def __call__(self) -> web.RequestHandler:
        return ProblemProtocol(self, loop=asyncio.get_running_loop(), keepalive_timeout=75.0, **_NO_ACCESS_LOG)


async def _given_back(undelivered: Callable[[], Awaitable[None]]) -> None:
    try:
        await undelivered()
    except LeaseholdError as error:
        # Then the leases end by themselves, after their time.
        log.warning("undelivered_leases_not_released", error=str(error))


def _subject(endpoint: Endpoint | None, values: list[str]) -> dict[str, str]:
    return endpoint.subject(values) if endpoint is not None else {}


def _gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _response(reply: Reply) -> web.Response:
    body = reply.body
    if body is None:
        return web.Response(status=reply.status, headers=_SERVER)
    return web.Response(
        status=reply.status,
        body=body if isinstance(body, bytes) else _encode(body),
        headers={"Content-Type": reply.content_type, **_SERVER},
    )


def _problem_response(problem: Problem, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=problem.status, body=_encode(problem), headers={"Content-Type": PROBLEM_TYPE, **_SERVER, **headers}
    )
