"""One HTTP request and its answer, and the two ways to get none."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import aiohttp
from msgspec import Struct
from yarl import URL

_CONNECT_WITHIN_S = 5.0


class NotSent(Exception):
    """No connection: the request has reached nobody."""


class NoAnswer(Exception):
    """The request was sent, at least in part, and no whole answer came."""


class Request(Struct, frozen=True):
    """`url` is complete and percent-encoded."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = None


class Answer(Struct, frozen=True):
    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None


class Exchange(Protocol):
    """Sends requests; opened before the first and closed after the last."""

    async def __call__(self, request: Request, within_s: float) -> Answer:
        """Raises: NotSent; NoAnswer, also when `within_s` has passed."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AiohttpExchange:
    """Real HTTP. Connections are kept open, their number is unbounded: callers bound their own concurrency.

    Redirects are not followed, so that an `Authorization` header goes to the configured addresses only.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __call__(self, request: Request, within_s: float) -> Answer:
        if self._session is None:
            raise RuntimeError("the client is not open; use it as `async with ClaimClient(...) as client:`")
        timeout = aiohttp.ClientTimeout(total=within_s, sock_connect=min(within_s, _CONNECT_WITHIN_S))
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                headers = response.headers
                return Answer(
                    response.status, await response.read(), headers.get("Retry-After"), headers.get("Location")
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(str(error) or type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise NoAnswer(str(error) or f"no answer within {within_s:g} s") from error
