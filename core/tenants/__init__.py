"""The tenants index, as a replica sees it: which rules are in force, and what people changed in them."""

from .tenants import Tenants

__all__ = ["Tenants"]
