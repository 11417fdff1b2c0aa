"""Who a request speaks for."""

from __future__ import annotations

from msgspec import Struct

from .errors import Forbidden

EVERY_TENANT = "*"
EVERY_SPACE = "*"
OPERATOR = "operator"


class Principal(Struct, frozen=True):
    """The caller: every read and write is bound to its tenant. A principal of tenant `*` claims for all tenants.

    `spaces` are the Kibana-style spaces it may act in, the first being the one that its starts go to; `*` means all.
    Role `operator` changes what belongs to the machine and not to a tenant: lanes, and the documents of tenants.
    """

    name: str
    tenant: str
    spaces: tuple[str, ...] = ("default",)
    roles: tuple[str, ...] = ()

    @property
    def space(self) -> str:
        """The space that a start of this principal goes to."""
        return self.spaces[0]

    def sees(self, tenant: str) -> bool:
        return self.tenant in (tenant, EVERY_TENANT)

    @property
    def operator(self) -> bool:
        return OPERATOR in self.roles

    def check_operator(self, what: str) -> None:
        """Raises: Forbidden unless the principal is an operator. `what` begins the sentence: "changing lanes"."""
        if not self.operator:
            has = f"has {', '.join(self.roles)}" if self.roles else "has no role"
            raise Forbidden(f"{what} needs the role {OPERATOR}; the caller {has}")
