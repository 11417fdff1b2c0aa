"""Which starts get the canary: pure, and the same for the same key on every replica."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from .documents import Canary

_WHOLE = 2**64


def gets_canary(canary: Canary, name: str, unit: str, labels: Mapping[str, str]) -> bool:
    """Whether a start gets it. `unit` is the start's idempotency key or, without one, a text of chance.

    The canary's version is hashed along, so that it is not the same keys each time that try what is new.
    """
    if canary.labels and all(labels.get(key) == value for key, value in canary.labels.items()):
        return True
    if not canary.percent:
        return False
    digest = blake2b(f"{name}\0{canary.version}\0{unit}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < canary.percent / 100 * _WHOLE
