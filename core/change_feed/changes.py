"""What a feed tells, and how it is asked."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from ..ports import Checkpoint

FeedKind = Literal["fleet", "stats"]


class Change(Struct, frozen=True):
    """An index is no more where it was. What others wrote is above `above` and, for now, at most at `checkpoint`.

    `anew`: what was read before says nothing any more, for the index is another one of that name, its checkpoint has
    fallen, or nothing was known yet. `above` is -1 then.
    """

    index: str
    anew: bool
    above: int
    checkpoint: int


class ChangeFeed(Protocol):
    """Watches one single-shard index."""

    @property
    def index(self) -> str: ...

    @property
    def kind(self) -> FeedKind: ...

    async def next_change(self) -> Change:
        """Wait for the next change. The first one comes at once, and is `anew`.

        Several writes may be one change. May be cancelled, and called again after an error: what was not told is told
        by a later call. Raises: StoreError.
        """
        ...


def change_between(index: str, known: Checkpoint | None, found: Checkpoint) -> Change | None:
    """What has happened between two looks; None for nothing. Pure."""
    if known is None or known.index_uuid != found.index_uuid or found.global_checkpoint < known.global_checkpoint:
        return Change(index, True, -1, found.global_checkpoint)
    if found.global_checkpoint == known.global_checkpoint:
        return None
    return Change(index, False, known.global_checkpoint, found.global_checkpoint)
