"""From requests to operations, and from their replies to answers.

One coroutine answers every request, with no application or middleware in between: every answer, also to what is no
HTTP, is a problem document, and a request costs little more than its parsing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import perf_counter

import msgspec
import structlog
from msgspec.structs import replace

from ....claim.wire import Problem
from ...errors import InvalidRequest, LeaseholdError
from ...principal import EVERY_SPACE, EVERY_TENANT, Principal
from ...problems import is_forbidden
from ...problems import problem as problem_document
from ..authentication import DevelopmentAuthentication
from ..http1 import Request, Response
from ..peers import PEERS_PATH, SECRET_HEADER, encode_answer, is_peer, read_request
from ..problems import PROBLEM_TYPE, document_of, headers_of
from ..words import shown
from .bodies import read_body
from .endpoint import Endpoint, body_limit_bytes
from .openapi import openapi_document
from .router import Router
from .routes import ROUTES, Route
from .surface import JSON, Reply, Surface

log = structlog.get_logger(__name__)

_UNMATCHED = "none"
_CLIENT_LEFT = 499
_encode = msgspec.json.Encoder().encode
_NOBODY = Principal(name="", tenant="")
# In the audit trail: the caller was turned away before it was known.
_UNKNOWN = Principal(name="unknown", tenant=EVERY_TENANT, spaces=(EVERY_SPACE,))


class HttpSurface:
    """Answers every request of one server; an instance is the coroutine function that `Listener` takes."""

    def __init__(self, surface: Surface, *, version: str, routes: Sequence[Route] = ROUTES) -> None:
        self._surface = surface
        self._authentication = DevelopmentAuthentication()
        self._router = Router([Endpoint(route, surface.limits) for route in routes])
        surface.openapi = _encode(openapi_document(routes, version))

    async def __call__(self, request: Request) -> Response:
        started_s = perf_counter()
        label, status = _UNMATCHED, _CLIENT_LEFT
        endpoint: Endpoint | None = None
        values: list[str] = []
        try:
            if request.method == "OPTIONS":
                response = self._options(request)
            elif request.raw_path == PEERS_PATH and self._from_peer(request):
                label = f"POST {PEERS_PATH}"
                response = await self._answer_peer(request)
            else:
                endpoint, values = self._router.find(request.method, request.raw_path)
                label = endpoint.label
                response = await self._answer(endpoint, values, request)
            status = response.status
        except LeaseholdError as error:
            response = self._refused(error, label, _subject(endpoint, values))
            status = response.status
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets an answer
            if isinstance(error, ConnectionError) and request.gone:
                return Response(_CLIENT_LEFT)  # nobody will read it
            response = self._unexpected(label, _subject(endpoint, values))
            status = response.status
        finally:
            self._surface.metrics.request(label, status, perf_counter() - started_s)
        return response

    async def _answer(self, endpoint: Endpoint, values: list[str], request: Request) -> Response:
        principal = _NOBODY
        try:
            if not endpoint.open:
                principal = self._authentication.principal(request.headers, request.address)
            return await self._carry_out(principal, endpoint, values, request)
        except LeaseholdError as error:
            if is_forbidden(error):
                caller = replace(_UNKNOWN, address=request.address) if principal is _NOBODY else principal
                self._surface.replica.refused(caller, endpoint.name, *endpoint.target(values), str(error))
            raise

    async def _carry_out(
        self, principal: Principal, endpoint: Endpoint, values: list[str], request: Request
    ) -> Response:
        if endpoint.operators:
            principal.check_operator(f"the operation {endpoint.name}")
        parameters = endpoint.parameters.read(values, request.raw_query, request.headers)
        body = await endpoint.read(request)
        reply = await endpoint.operation(self._surface, principal, parameters, body)
        response = _response(reply)
        if reply.undelivered is not None:
            self._deliver(reply.undelivered, response, request)
        return response

    def _from_peer(self, request: Request) -> bool:
        """Without the secret the path is one that nothing answers."""
        shown_secret = request.headers.get(SECRET_HEADER)
        return request.method == "POST" and is_peer(shown_secret, self._surface.replica.peer_secret)

    async def _answer_peer(self, request: Request) -> Response:
        body = await read_body(request, body_limit_bytes("many", self._surface.limits))
        try:
            asked = read_request(body)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"this replica does not understand its peer's request: {error}") from None
        answer = await self._surface.replica.answer_peer(asked)
        response = Response(200, encode_answer(answer), JSON)
        if answer.steps:
            given_back = partial(self._surface.replica.release_all, asked.principal, answer.steps)
            self._deliver(given_back, response, request)
        return response

    def _deliver(self, undelivered: Callable[[], Awaitable[None]], response: Response, request: Request) -> None:
        """Write an answer here and now, so that leases of a client that has gone can be given back."""
        if not request.respond(response):
            self._surface.in_background(_given_back(undelivered))
            raise ConnectionResetError("the client left before its answer")

    def _options(self, request: Request) -> Response:
        path = request.raw_path
        allow = self._router.allow(path) if path != "*" else "DELETE, GET, HEAD, OPTIONS, POST, PUT"
        return Response(204, headers=(f"Allow: {allow}",))

    def _refused(self, error: LeaseholdError, label: str, subject: dict[str, str]) -> Response:
        problem = document_of(error)
        if problem.status == 500:
            return self._unexpected(label, subject)
        log.debug("refused", route=label, status=problem.status, error=str(error), **subject)
        return _problem_response(problem, headers_of(error, problem))

    def _unexpected(self, label: str, subject: dict[str, str]) -> Response:
        """Whatever was not foreseen: counted, logged with its traceback, answered without it."""
        log.exception("unexpected_error", route=label, **subject)
        self._surface.metrics.unexpected()
        return _problem_response(problem_document("internal-error", "the server's log has the details"), {})


def refusal(status: int, reason: str) -> Response:
    """The answer to what is no HTTP."""
    detail = f"this is no valid HTTP request: {shown(reason.strip().splitlines()[0])}"
    return _problem_response(problem_document("invalid-request", detail, status), {})


async def _given_back(undelivered: Callable[[], Awaitable[None]]) -> None:
    try:
        await undelivered()
    except LeaseholdError as error:
        # Then the leases end by themselves, after their time.
        log.warning("undelivered_leases_not_released", error=str(error))


def _subject(endpoint: Endpoint | None, values: list[str]) -> dict[str, str]:
    return endpoint.subject(values) if endpoint is not None else {}


def _response(reply: Reply) -> Response:
    body = reply.body
    if body is None:
        return Response(reply.status)
    return Response(reply.status, body if type(body) is bytes else _encode(body), reply.content_type)


def _problem_response(problem: Problem, headers: dict[str, str]) -> Response:
    lines = tuple(f"{name}: {value}" for name, value in headers.items())
    return Response(problem.status, _encode(problem), PROBLEM_TYPE, lines)
