"""Options that are given as `name=value`: params, labels, fields of a form, parameters of a blueprint."""

from __future__ import annotations

from collections.abc import Iterable

from .failures import CommandFailed


def pairs_of(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """What was given as `name=value`, once or more often, to an option. Raises: CommandFailed."""
    pairs = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandFailed(f"{option} is {pair!r}; write it as name=value")
        pairs[name] = value
    return pairs
