"""The scenario `history`; `scenario` says what it does."""

from .scenario import HISTORY

__all__ = ["HISTORY"]
