"""Who a request speaks for.

Development mode takes the caller's word: `X-Leasehold-Tenant` and `X-Leasehold-Space` name a tenant and a space, both
`default` where absent, and the caller is `anonymous`. Hence the two guards here: it is served on loopback only, and a
web page of another site can't reach it through its visitor's browser.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from multidict import CIMultiDictProxy

from ...claim.wire import Violation
from ..errors import Forbidden, LeaseholdError
from ..principal import Principal
from .problems import refuse
from .words import shown

TENANT_HEADER = "X-Leasehold-Tenant"
SPACE_HEADER = "X-Leasehold-Space"
NAME_PATTERN = r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,127})$"
NAME_ALLOWED = "1 to 128 letters, digits, dots, hyphens and underscores, or * for every one"
DEFAULT_NAME = "default"

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))


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
    """Believes the headers. Costs two header look-ups a request."""

    def principal(self, headers: CIMultiDictProxy[str]) -> Principal:
        """Raises: RequestProblem (400) for a bad name; Forbidden for a web page of another site."""
        if headers.get("Sec-Fetch-Site") == "cross-site":
            raise Forbidden("a web page of another site may not call a server that runs without authentication")
        tenants, spaces = headers.getall(TENANT_HEADER, ()), headers.getall(SPACE_HEADER, ())
        if not tenants and not spaces:
            return _DEFAULT
        return _principal(_only(tenants, TENANT_HEADER), _only(spaces, SPACE_HEADER))


_DEFAULT = Principal(name="anonymous", tenant=DEFAULT_NAME, spaces=(DEFAULT_NAME,))


@lru_cache(maxsize=4_096)
def _principal(tenant: str, space: str) -> Principal:
    return Principal(name="anonymous", tenant=tenant, spaces=(space,))


def _only(given: list[str] | tuple[()], header: str) -> str:
    if not given:
        return DEFAULT_NAME
    if len(given) == 1 and _NAME.fullmatch(given[0]):
        return given[0]
    found = f"is {shown(given[0])}" if len(given) == 1 else f"is given {len(given)} times"
    detail = f"the header {header} {found}; allowed: {NAME_ALLOWED}"
    violation = Violation(path=f"header.{header}", message=detail, allowed=NAME_ALLOWED)
    raise refuse("invalid-request", detail, violations=[violation])
