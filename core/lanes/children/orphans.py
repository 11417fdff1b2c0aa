"""Children that nobody asks for: created by an earlier owner, too late, after their parent had gone on without them.

Such a create lands behind the take-over, whose owner found the child missing and began it itself, or let it be. By id
it is the child that it says it is; whether it is still wanted only its parent knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ...machine.state import Instance
from .. import codec
from .known import lists

if TYPE_CHECKING:
    from ..lane import Lane


async def unwanted(lane: Lane, children: Sequence[Instance]) -> set[str]:
    """The ids of those that their parents do not have under way. Raises: StoreError."""
    wanted = dict.fromkeys(child.parent_id for child in children if child.parent_id is not None)
    missing = [id for id in wanted if id not in lane.residents]
    parents: dict[str, Instance] = {}
    for document in await lane.parts.store.mget(lane.index, missing) if missing else ():
        if document is not None:
            # What can't be read is no parent that could ask for anything.
            with suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                parents[document.id] = codec.decode_document(document.source)[0]
    # What is in memory is ahead of what was read, and may have come in meanwhile.
    parents.update((id, lane.residents[id].instance) for id in wanted if id in lane.residents)
    return {child.id for child in children if not _wants(parents.get(child.parent_id or ""), child)}


def _wants(parent: Instance | None, child: Instance) -> bool:
    return parent is not None and lists(parent, child.id)
