"""Who a request speaks for.

Development mode takes the caller's word: `X-Leasehold-Tenant` and `X-Leasehold-Space` name a tenant and a space, both
`default` where absent, `X-Leasehold-Roles` the roles (absent: `operator`), and the caller is `anonymous`. Hence the two
guards here: it is served on loopback only, and a web page of another site can't reach it through its visitor's browser.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from multidict import CIMultiDictProxy

from ...claim.wire import Violation
from ..errors import Forbidden, LeaseholdError
from ..principal import OPERATOR, Principal
from .problems import refuse
from .words import shown

TENANT_HEADER = "X-Leasehold-Tenant"
SPACE_HEADER = "X-Leasehold-Space"
ROLES_HEADER = "X-Leasehold-Roles"
NAME_PATTERN = r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,127})$"
NAME_ALLOWED = "1 to 128 letters, digits, dots, hyphens and underscores, or * for every one"
ROLES_PATTERN = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63}(,[ ]?[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,31})?$"
ROLES_ALLOWED = "up to 32 names separated by commas, each of 1 to 64 letters, digits, dots, hyphens and underscores"
DEFAULT_NAME = "default"
DEFAULT_ROLES = (OPERATOR,)

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))
_ROLES = re.compile(ROLES_PATTERN.removeprefix("^").removesuffix("$"))


class InsecureServer(LeaseholdError):
    """Serving without authentication where others than this machine could call."""


def check_exposure(host: str) -> None:
    """Raises: InsecureServer unless `host` is a loopback address (or `localhost`)."""
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InsecureServer(
            f"host is {shown(host)}, and this release serves without authentication: allowed are loopback addresses"
            " (127.0.0.1, ::1, localhost); to be reached from elsewhere, put a proxy that authenticates before it"
        )


class DevelopmentAuthentication:
    """Believes the headers. Costs three header look-ups a request."""

    def principal(self, headers: CIMultiDictProxy[str], address: str = "") -> Principal:
        """Raises: RequestProblem (400) for a bad name; Forbidden for a web page of another site."""
        if headers.get("Sec-Fetch-Site") == "cross-site":
            raise Forbidden("a web page of another site may not call a server that runs without authentication")
        tenants, spaces = headers.getall(TENANT_HEADER, ()), headers.getall(SPACE_HEADER, ())
        roles = headers.getall(ROLES_HEADER, ())
        return _principal(_only(tenants, TENANT_HEADER), _only(spaces, SPACE_HEADER), _roles(roles), address)


@lru_cache(maxsize=4_096)
def _principal(tenant: str, space: str, roles: tuple[str, ...], address: str) -> Principal:
    return Principal(name="anonymous", tenant=tenant, spaces=(space,), roles=roles, address=address)


def _only(given: list[str] | tuple[()], header: str) -> str:
    if not given:
        return DEFAULT_NAME
    return _checked(given, header, _NAME, NAME_ALLOWED)


def _roles(given: list[str] | tuple[()]) -> tuple[str, ...]:
    """The roles that the header names, each once. An empty header is nobody's role, an absent one the operator's."""
    if not given:
        return DEFAULT_ROLES
    names = _checked(given, ROLES_HEADER, _ROLES, ROLES_ALLOWED)
    return tuple(dict.fromkeys(name.strip() for name in names.split(","))) if names else ()


def _checked(given: list[str], header: str, pattern: re.Pattern[str], allowed: str) -> str:
    if len(given) == 1 and pattern.fullmatch(given[0]):
        return given[0]
    found = f"is {shown(given[0])}" if len(given) == 1 else f"is given {len(given)} times"
    detail = f"the header {header} {found}; allowed: {allowed}"
    violation = Violation(path=f"header.{header}", message=detail, allowed=allowed)
    raise refuse("invalid-request", detail, violations=[violation])
