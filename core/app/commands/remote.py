"""Talking to a running server, one request a command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import typer

from ....claim.wire import Problem
from .failures import CommandFailed

T = TypeVar("T")

DEFAULT_SERVER = "http://127.0.0.1:8080"
_TIMEOUT_S = 60.0

ServerOption = Annotated[
    str, typer.Option("--server", envvar="LEASEHOLD_SERVER", help="Address of a server.", show_default=True)
]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", envvar="LEASEHOLD_TENANT", help="The tenant to act for (development mode).")
]
SpaceOption = Annotated[
    str | None, typer.Option("--space", envvar="LEASEHOLD_SPACE", help="The space to act in (development mode).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]


class Remote:
    """One server, as one tenant and space sees it."""

    def __init__(self, server: str, tenant: str | None = None, space: str | None = None) -> None:
        self._server = server.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if tenant is not None:
            self._headers["X-Leasehold-Tenant"] = tenant
        if space is not None:
            self._headers["X-Leasehold-Space"] = space

    def ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> T:
        """The answer's body as `kind`; None where it has none. Raises: CommandFailed, with the server's own words."""
        headers = {**self._headers, **({"Content-Type": content_type} if body is not None else {}), **(headers or {})}
        answer = asyncio.run(self._send(method, path, query or {}, headers, body))
        if not answer:
            return msgspec.convert(None, kind)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CommandFailed(f"{self._server} answers, but not as a Leasehold server does") from None

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
                session.request(method, self._server + path, params=query, headers=headers, data=body) as response,
            ):
                answer = await response.read()
                if response.status >= 400:
                    raise CommandFailed(_refusal(response.status, answer))
                return answer
        except aiohttp.InvalidURL:
            raise CommandFailed(f"the server's address {self._server} is no URL; write http://host:port") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CommandFailed(
                f"no answer from {self._server} ({error or type(error).__name__}); start a server with `leasehold"
                " serve`, or name another with --server or LEASEHOLD_SERVER"
            ) from None


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def printed(value: Any) -> str:
    """A struct as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _refusal(status: int, answer: bytes) -> str:
    try:
        problem = msgspec.json.decode(answer, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"the server answered {status}"
    lines = [problem.detail or problem.title]
    for violation in problem.violations:
        if violation.message and violation.message not in problem.detail:
            place = f"{violation.line}:{violation.column}: " if violation.line else ""
            lines.append(f"  {place}{violation.path}: {violation.message}")
    return "\n".join(lines)
