"""Requests to Elasticsearch over plain HTTP, for the executors that need it. One cluster a worker.

Error types: `es.<status>` for what it answers, `es.connection`, `es.timeout`, `es.too_large`. Those that the same
request would meet again are not retryable: a 4xx other than 408 and 429.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from ..errors import ClaimError, StepFailed
from .bounded import read_bounded
from .payloads import invalid

_ANSWER_MAX_BYTES = 8_000_000
_CONNECT_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 60.0
_REASON_CHARACTERS = 2_000


class ClusterOptions(Struct, frozen=True):
    """`urls`: addresses of nodes. `api_key`, or `username` and `password`, where it wants them; `ca_certs` a file."""

    urls: tuple[str, ...] = ("http://127.0.0.1:9200",)
    api_key: str | None = None
    username: str | None = None
    password: str | None = None
    ca_certs: str | None = None


class Cluster:
    """An async context manager. A node without a connection is passed over for the next, once each request.

    Raises: ClaimError on making it, for addresses or certificates that can't be used.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self._urls = [_without_credentials(url) for url in options.urls]
        self._headers = {"Accept": "application/json", **_authorization(options)}
        self._ssl = _trust(options.ca_certs)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self, method: str, path: str, body: bytes, *, content_type: str = "application/json", way_out: str
    ) -> Any:
        """The answer as JSON. `path` is encoded and holds the query; `way_out` is for whom the answer is too large.

        May be repeated at another node after a broken connection, so it is for what may be done twice.
        Raises: StepFailed.
        """
        failure: StepFailed | None = None
        for url in list(self._urls):
            try:
                return await self._ask(method, url + path, body, content_type, way_out)
            except StepFailed as error:
                if error.type != "es.connection":
                    raise
                failure = error
                self._urls.remove(url)
                self._urls.append(url)
        assert failure is not None
        raise failure

    async def _ask(self, method: str, url: str, body: bytes, content_type: str, way_out: str) -> Any:
        if self._session is None:
            raise RuntimeError("the cluster is not open; use it as an async context manager")
        headers = {**self._headers, "Content-Type": content_type}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S, sock_connect=_CONNECT_WITHIN_S)
        try:
            async with self._session.request(
                method, URL(url, encoded=True), data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                raw = await read_bounded(response, _ANSWER_MAX_BYTES, "es.too_large", way_out)
                status = response.status
        except aiohttp.ConnectionTimeoutError as error:
            raise StepFailed("es.connection", f"no connection to {_host(url)} in time") from error
        except TimeoutError as error:
            raise StepFailed("es.timeout", f"{_host(url)} did not answer within {_ANSWER_WITHIN_S:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise StepFailed("es.connection", f"no connection to {_host(url)}: {error}") from error
        return _checked(status, raw)


def index_path(index: str) -> str:
    """An index expression (names, wildcards, commas) as the first segment of a path. Raises: StepFailed."""
    names = index.split(",")
    if not all(names) or any(name.startswith("_") and name != "_all" for name in names):
        raise invalid(f"index is {index!r}; allowed: names, wildcards and lists of them, none beginning with _")
    return "/" + quote(index, safe="*,")


def _checked(status: int, raw: bytes) -> Any:
    try:
        answer = msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = None
    if status < 300 and answer is not None:
        return answer
    words = _reason(answer) or f"it answered {status} and no JSON"
    raise StepFailed(f"es.{status}", words, retryable=status >= 500 or status in (408, 429))


def _reason(answer: Any) -> str:
    """Elasticsearch's own words: the error, its first root cause, and what caused that."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "" if error is None else str(error)[:_REASON_CHARACTERS]
    found = [error, *error.get("root_cause", [])[:1]]
    while isinstance(cause := found[-1].get("caused_by"), dict) and len(found) < 8:
        found.append(cause)
    words = dict.fromkeys(f"{part.get('type')}: {part.get('reason')}" for part in found)
    return "; ".join(words)[:_REASON_CHARACTERS]


def _authorization(options: ClusterOptions) -> dict[str, str]:
    if options.api_key is not None:
        return {"Authorization": f"ApiKey {options.api_key}"}
    username, password = options.username, options.password
    if username is None:
        parts = urlsplit(options.urls[0])
        username, password = parts.username, parts.password
    if username is None:
        return {}
    return {"Authorization": "Basic " + b64encode(f"{username}:{password or ''}".encode()).decode()}


def _without_credentials(url: str) -> str:
    parts = urlsplit(url.strip().rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        host = parts.netloc.rpartition("@")[2]
        raise ClaimError(f"an address of Elasticsearch is {parts.scheme}://{host}; write http(s)://host:port")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _trust(ca_certs: str | None) -> ssl.SSLContext | bool:
    if ca_certs is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_certs)
    except (OSError, ssl.SSLError) as error:
        raise ClaimError(f"the certificates in {ca_certs} can't be used: {error}") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc
