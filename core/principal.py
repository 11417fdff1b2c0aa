"""Who a request speaks for."""

from __future__ import annotations

from msgspec import Struct

from .errors import Forbidden

EVERY_TENANT = "*"
EVERY_SPACE = "*"
DEFAULT_SPACE = "default"
OPERATOR = "operator"


class Principal(Struct, frozen=True):
    """The caller: every read and write is bound to its tenant. A principal of tenant `*` claims for all tenants.

    `spaces` are the Kibana-style spaces it may act in, the first being the one that its starts go to; `*` means all.
    What is in space `*` is in all of them. `address` is where the request came from, as far as is known.
    Role `operator` changes what belongs to the machine and not to a tenant: lanes, and the documents of tenants.
    """

    name: str
    tenant: str
    spaces: tuple[str, ...] = (DEFAULT_SPACE,)
    roles: tuple[str, ...] = ()
    address: str = ""

    @property
    def space(self) -> str:
        """The space that a start of this principal goes to."""
        return self.spaces[0]

    def sees(self, tenant: str) -> bool:
        """Whether it acts for that tenant."""
        return self.tenant in (tenant, EVERY_TENANT)

    def reaches(self, tenant: str, space: str) -> bool:
        """Whether it acts for that tenant, and in that space of it."""
        return self.sees(tenant) and (space == EVERY_SPACE or space in self.spaces or EVERY_SPACE in self.spaces)

    @property
    def operator(self) -> bool:
        return OPERATOR in self.roles

    def check_operator(self, what: str) -> None:
        """Raises: Forbidden unless the principal is an operator. `what` begins the sentence: "changing lanes"."""
        if not self.operator:
            has = f"has {', '.join(self.roles)}" if self.roles else "has no role"
            raise Forbidden(f"{what} needs the role {OPERATOR}; the caller {has}")

    def check_all_tenants(self, what: str) -> None:
        """Raises: Forbidden unless the principal is an operator who acts for all tenants, in all spaces."""
        self.check_operator(what)
        if self.tenant != EVERY_TENANT or EVERY_SPACE not in self.spaces:
            raise Forbidden(
                f"{what} needs tenant {EVERY_TENANT} and space {EVERY_SPACE}; the caller is of tenant {self.tenant!r}"
                f" and spaces {', '.join(self.spaces)}"
            )


def realm_of(tenant: str, space: str) -> str:
    """One space of one tenant as one text: what names are unique in. Names of tenants hold no slash.

    The default space's is the tenant's name alone, as it was before there were others.
    """
    return tenant if space == DEFAULT_SPACE else f"{tenant}/{space}"
