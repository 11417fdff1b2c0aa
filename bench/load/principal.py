"""Whose requests a load process sends."""

from __future__ import annotations


def headers_of(tenant: str | None) -> tuple[str, ...]:
    """The headers of a tenant's request; None: of the server's default tenant."""
    return () if tenant is None else (f"X-Leasehold-Tenant: {tenant}",)
