"""From a definition's model to its plan: names resolved, defaults merged, templates compiled."""

from .compiling import compile_plan

__all__ = ["compile_plan"]
