"""`http`: one HTTP request.

Payload:

- `url`: http or https
- `method`: default GET
- `headers`, `params` (of the query): texts by name; a parameter may be a list
- `json` (any JSON), or `body` (text): what is sent
- `expect`: the statuses that count as success. Default: 200 to 299
- `timeout`: a duration such as `10s`. Default: `30s`

Result: `{"status", "headers", "json"}`, or `"body"` (text) instead of `json` when the answer is no JSON. Header names
are in lower case; cookies, and what describes the transfer alone, are left out. A GET or HEAD follows up to 5
redirects.

The claim's `traceparent` goes along, and with POST and PATCH an `Idempotency-Key` that is the same in each attempt,
unless `headers` have their own. A definition's author can reach with this whatever the worker can reach: name the
allowed hosts (`--http-allow`) where that is too much.
Error types: `payload.invalid`, `http.not_allowed`, `http.<status>`, `http.connection`, `http.timeout`,
`http.too_large`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import aiohttp
import msgspec
from msgspec import UNSET, Struct, UnsetType
from yarl import URL

from ..durations import duration_ms
from ..errors import StepFailed
from ..running.context import StepContext
from .bounded import read_bounded
from .payloads import checked_size, invalid, payload_as

CAPABILITY = "http"

_CONNECT_WITHIN_S = 10.0
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_QUOTED_CHARACTERS = 500
_SMALLER = "ask the server for less"
# Cookies are secrets; the others describe a transfer that is over, not the content as it is handed on.
_NOT_KEPT = frozenset({"set-cookie", "content-encoding", "content-length", "transfer-encoding", "connection"})
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})

Scalar = str | int | float | bool


class Payload(Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    url: str
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, str] = {}
    params: dict[str, Scalar | list[Scalar]] = {}
    json: Any = UNSET
    body: str | UnsetType = UNSET
    expect: list[int] | None = None
    timeout: str = "30s"


class Http:
    """Sends requests to hosts that match one of `allow` (patterns such as `*.example.com`; none: to any host)."""

    def __init__(self, session: aiohttp.ClientSession, allow: Sequence[str], result_max_bytes: int) -> None:
        self._session = session
        self._allow = [pattern.lower() for pattern in allow]
        self._result_max_bytes = result_max_bytes

    async def __call__(self, context: StepContext) -> dict[str, Any]:
        payload = payload_as(context.payload, Payload)
        url = _url(payload)
        headers = _headers(payload, context)
        total_s = _timeout_s(payload.timeout)
        limit = aiohttp.ClientTimeout(total=total_s, sock_connect=min(total_s, _CONNECT_WITHIN_S))
        try:
            return await self._follow(payload, url, headers, limit)
        except aiohttp.ConnectionTimeoutError as error:
            raise StepFailed("http.connection", f"no connection to {url.host} in time") from error
        except TimeoutError as error:
            raise StepFailed("http.timeout", f"{url.host} did not answer within {payload.timeout}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise StepFailed(
                "http.connection", f"no answer from {url.host}: {error or type(error).__name__}"
            ) from error
        except ValueError as error:
            raise invalid(f"the request can't be made: {error}") from error

    async def _follow(
        self, payload: Payload, url: URL, headers: dict[str, str], limit: aiohttp.ClientTimeout
    ) -> dict[str, Any]:
        """Each address on the way is checked, and what authorizes does not go to another host."""
        self._check_allowed(url)
        origin = url.origin()
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._session.request(
                payload.method, url, data=_body(payload), headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                location = response.headers.get("Location")
                follows = response.status in _REDIRECTS and payload.method in ("GET", "HEAD")
                if location is None or not follows:
                    raw = await read_bounded(response, self._result_max_bytes, "http.too_large", _SMALLER)
                    return self._result(payload, response, raw)
            url = url.join(URL(location))
            self._check_allowed(url)
            if url.origin() != origin:
                headers = {name: value for name, value in headers.items() if name.lower() not in _SECRETS}
        raise StepFailed("http.connection", f"{origin} redirects more than {_MAX_REDIRECTS} times")

    def _check_allowed(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise invalid(f"url is {str(url)!r}; allowed: http and https addresses")
        host = url.host.lower()
        if self._allow and not any(fnmatchcase(host, pattern) for pattern in self._allow):
            message = f"the host {host} is not among those that this worker may ask: {', '.join(self._allow)}"
            raise StepFailed("http.not_allowed", message, retryable=False)

    def _result(self, payload: Payload, response: aiohttp.ClientResponse, raw: bytes) -> dict[str, Any]:
        status = response.status
        text = raw.decode(_charset(response), errors="replace")
        if status not in payload.expect if payload.expect is not None else not 200 <= status < 300:
            raise StepFailed(f"http.{status}", f"{response.url.host} answered {status}: {text[:_QUOTED_CHARACTERS]}")
        kept = {name.lower(): value for name, value in response.headers.items() if name.lower() not in _NOT_KEPT}
        result = {"status": status, "headers": kept, **_content(response, raw, text)}
        return checked_size(result, self._result_max_bytes, "http.too_large", _SMALLER)


def _url(payload: Payload) -> URL:
    try:
        url = URL(payload.url)
        return url.extend_query({name: _texts(value) for name, value in payload.params.items()})
    except (ValueError, TypeError) as error:
        raise invalid(f"url is {payload.url!r}: {error}") from error


def _texts(value: Scalar | list[Scalar]) -> str | list[str]:
    if isinstance(value, list):
        return [str(_texts(part)) for part in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _body(payload: Payload) -> bytes | None:
    if payload.json is not UNSET:
        return msgspec.json.encode(payload.json)
    return None if isinstance(payload.body, UnsetType) else payload.body.encode()


def _headers(payload: Payload, context: StepContext) -> dict[str, str]:
    if payload.json is not UNSET and payload.body is not UNSET:
        raise invalid("the payload has both json and body; write one of them")
    for name, value in payload.headers.items():
        if not name or not f"{name}{value}".isprintable():
            raise invalid(f"the header {name!r} has no name, or line breaks or other control characters in it")
    offered = {"traceparent": context.step.traceparent}
    if payload.method in ("POST", "PATCH"):
        offered["Idempotency-Key"] = context.idempotency_key
    if payload.json is not UNSET:
        offered["Content-Type"] = "application/json"
    elif payload.body is not UNSET:
        offered["Content-Type"] = "text/plain; charset=utf-8"
    given = {name.lower() for name in payload.headers}
    own = {name: value for name, value in offered.items() if value is not None and name.lower() not in given}
    return {**own, **payload.headers}


def _timeout_s(text: str) -> float:
    try:
        milliseconds = duration_ms(text)
    except ValueError as error:
        raise invalid(f"timeout: {error}") from None
    if milliseconds == 0:
        raise invalid("timeout is 0; allowed: more than that, such as 10s")
    return milliseconds / 1_000


def _content(response: aiohttp.ClientResponse, raw: bytes, text: str) -> dict[str, Any]:
    media_type = response.content_type
    if raw and (media_type == "application/json" or media_type.endswith("+json")):
        try:
            return {"json": msgspec.json.decode(raw)}
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return {"body": text}


def _charset(response: aiohttp.ClientResponse) -> str:
    """What the answer says its text is in, if Python knows it."""
    try:
        return response.get_encoding() if response.charset else "utf-8"
    except (LookupError, RuntimeError):
        return "utf-8"
