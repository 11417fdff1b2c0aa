"""What a changed policy changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .ages import retention_ms
from .model import Policy


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs: at `path`, as it stands in the old and in the new document; None where it is absent."""

    path: str
    old: Any
    new: Any


def differences(old: Policy, new: Policy) -> list[Difference]:
    """Everything in which two policies differ, in the documents' order."""
    return list(_differences("", old.document(), new.document()))


def _differences(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(f"{path}.{key}" if path else str(key), old.get(key), new.get(key))
    elif old != new:
        yield Difference(path, old, new)


def shortened(old: Policy, new: Policy) -> str | None:
    """A sentence where the new policy keeps records less long than the old one; None where it does not."""
    before, after = retention_ms(old), retention_ms(new)
    if after is None or (before is not None and after >= before):
        return None
    return f"the new policy deletes records of {new.family} earlier than the one in force"
