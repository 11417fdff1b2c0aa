"""Who a request speaks for."""

from __future__ import annotations

from msgspec import Struct

EVERY_TENANT = "*"


class Principal(Struct, frozen=True):
    """The caller: every read and write is bound to its tenant. A principal of tenant `*` claims for all tenants.

    `spaces` are the Kibana-style spaces it may act in, the first being the one that its starts go to; `*` means all.
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
