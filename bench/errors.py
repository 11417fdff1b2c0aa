"""What keeps a scenario from running."""

from __future__ import annotations


class BenchError(Exception):
    """The scenario could not run; the sentence says why, and the way out where there is one."""
