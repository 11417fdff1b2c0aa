"""An answer, and its bytes."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from msgspec import Struct

SERVER = "leasehold"


class Response(Struct, frozen=True, gc=False):
    """One answer. `headers` are complete lines besides what every answer has: `Name: value`."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: tuple[str, ...] = ()


def head_of(response: Response, *, http_1_0: bool, keep_alive: bool) -> bytes:
    """The head, empty line included. A 204 names no length."""
    begin = _begin(response.status, response.content_type, response.headers, http_1_0, keep_alive)
    length = "" if response.status == 204 else f"Content-Length: {len(response.body)}\r\n"
    return f"{begin}{_date(int(time()))}{length}\r\n".encode("utf-8", "surrogateescape")


@lru_cache(maxsize=256)
def _begin(status: int, content_type: str | None, headers: tuple[str, ...], http_1_0: bool, keep_alive: bool) -> str:
    lines = [f"HTTP/1.1 {status} {_reason(status)}", f"Server: {SERVER}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if not keep_alive:
        lines.append("Connection: close")
    elif http_1_0:
        lines.append("Connection: keep-alive")
    return "".join(f"{line}\r\n" for line in (*lines, *headers))


@lru_cache(maxsize=2)
def _date(now_s: int) -> str:
    return f"Date: {formatdate(now_s, usegmt=True)}\r\n"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
