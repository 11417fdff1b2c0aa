"""Imports that an extra brings: a missing one is a sentence that names the extra, not a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .failures import CommandFailed


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around the imports of a command. Raises: CommandFailed when a library of that extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("leasehold"):
            raise
        raise CommandFailed(f"this command needs {error.name}; run pip install 'leasehold[{extra}]'") from None
