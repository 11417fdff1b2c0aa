"""Tenants beside each other: shares, changed rules, limits, a large neighbour, the cost of deciding."""

from .scenario import FAIRNESS

__all__ = ["FAIRNESS"]
