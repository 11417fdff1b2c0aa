"""Talking to a running server, one question a command, with the claim client's way of reaching it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import msgspec
import typer

from ....claim.errors import ClaimError, OutcomeUnknown, Refused, Unavailable
from ....claim.transport import Addresses, AiohttpExchange, Answered, Caller, Outgoing, decoded
from ....claim.wire import Problem
from .failures import CommandFailed

T = TypeVar("T")

DEFAULT_SERVER = "http://127.0.0.1:8080"
_ANSWER_WITHIN_S = 60.0
_GIVE_UP_AFTER_S = 2.0

ServerOption = Annotated[
    str, typer.Option("--server", envvar="LEASEHOLD_SERVER", help="Address of a server; several: separated by commas.")
]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", envvar="LEASEHOLD_TENANT", help="The tenant to act for (development mode).")
]
SpaceOption = Annotated[
    str | None, typer.Option("--space", envvar="LEASEHOLD_SPACE", help="The space to act in (development mode).")
]
RolesOption = Annotated[
    str | None,
    typer.Option(
        "--roles", envvar="LEASEHOLD_ROLES", help="Roles, separated by commas; '' for none (development mode)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]


class RemoteRefused(CommandFailed):
    """The server understood, and refused. `problem` is its answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(_words(problem))
        self.problem = problem


class Remote:
    """One installation, as one tenant and space sees it. `roles` is None for those that the server gives by itself."""

    def __init__(
        self, servers: str, tenant: str | None = None, space: str | None = None, roles: str | None = None
    ) -> None:
        self._urls = [_address(url) for url in servers.split(",") if url.strip()]
        headers = {"X-Leasehold-Tenant": tenant, "X-Leasehold-Space": space, "X-Leasehold-Roles": roles}
        self._headers = {name: value for name, value in headers.items() if value is not None}

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
        """The answer's body as `kind`; None where it has none. Raises: CommandFailed, with the server's own words.

        A POST is sent again only if it can't have taken effect, or its headers hold an idempotency key.
        """
        repeatable = method != "POST" or "Idempotency-Key" in (headers or {})
        outgoing = Outgoing(method, path, repeatable, query or {}, headers or {}, body, content_type)
        answered = self._answer(outgoing)
        try:
            return decoded(answered, kind) if answered.body else msgspec.convert(None, kind)
        except (ClaimError, ValueError) as error:
            raise CommandFailed(str(error)) from None

    def read(self, method: str, path: str, *, query: Mapping[str, str] | None = None) -> bytes:
        """The answer's body as it came. Raises: CommandFailed, with the server's own words."""
        return bytes(self._answer(Outgoing(method, path, True, query or {}, {}, None, "application/json")).body)

    def _answer(self, outgoing: Outgoing) -> Answered:
        try:
            return asyncio.run(self._send(outgoing))
        except Refused as error:
            raise RemoteRefused(error.problem) from None
        except Unavailable as error:
            raise CommandFailed(f"{error}{'' if error.problem else _WAY_OUT}") from None
        except OutcomeUnknown as error:
            raise CommandFailed(f"{error}; look before you repeat it") from None
        except (ClaimError, ValueError) as error:
            raise CommandFailed(str(error)) from None

    async def _send(self, outgoing: Outgoing) -> Answered:
        addresses = Addresses(self._urls, Random())  # noqa: S311  jitter needs no secrecy
        async with AiohttpExchange() as exchange:
            caller = Caller(addresses, exchange, headers=self._headers)
            return await caller.send(outgoing, answer_within_s=_ANSWER_WITHIN_S, give_up_after_s=_GIVE_UP_AFTER_S)


_WAY_OUT = "; start a server with `leasehold serve`, or name another with --server or LEASEHOLD_SERVER"


def segment(text: str) -> str:
    """`text` as one segment of a path, dots included: `..` must not climb."""
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="~:")


def printed(value: Any) -> str:
    """A struct as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _address(url: str) -> str:
    url = url.strip().rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise CommandFailed(f"the server's address is {url!r}; write http://host:port")
    return url


def _words(problem: Problem) -> str:
    """A problem's sentence, and a line for each violation that it does not tell already."""
    lines = [problem.detail or problem.title]
    for violation in problem.violations:
        if violation.message not in problem.detail:
            place = f"line {violation.line}, column {violation.column}: " if violation.line else ""
            path = f"{violation.path}: " if violation.path else ""
            lines.append(f"  {place}{path}{violation.message}")
    return "\n".join(lines)
