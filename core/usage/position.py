"""How far history has been counted: a sequence number for each index behind its aliases, kept in the control index.

Whoever writes it has counted what it says, so it does not matter who wrote last: at worst rows are looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from ..errors import StoreUnavailable
from ..es.lines import put_line
from ..ports import Checkpoint, Store

POSITION = "usage:position"


class Reached(Struct, frozen=True):
    """All rows of an index up to this sequence number are counted; another `index_uuid` is another index."""

    index_uuid: str
    seq_no: int


Position = Mapping[str, Reached]


class _Document(Struct, frozen=True):
    indices: dict[str, Reached]
    kind: Literal["usage"] = "usage"


_decoder = msgspec.json.Decoder(_Document)


def reached(found: Mapping[str, Checkpoint]) -> dict[str, Reached]:
    """The position at which everything that stands there is counted."""
    return {index: Reached(one.index_uuid, one.global_checkpoint) for index, one in found.items()}


def new_rows(known: Position, now: Position) -> dict[str, int]:
    """The indices that hold rows which are not counted, each with the number above which they are. Pure."""
    found = {}
    for index, one in now.items():
        before = known.get(index)
        if before is None or before.index_uuid != one.index_uuid or one.seq_no < before.seq_no:
            found[index] = -1
        elif one.seq_no > before.seq_no:
            found[index] = before.seq_no
    return {index: above for index, above in found.items() if now[index].seq_no >= 0}


async def read(store: Store, control: str) -> Position:
    """The position that stands in the control index; empty where nothing was counted. Raises: StoreError."""
    found = await store.get(control, POSITION)
    return {} if found is None else _decoder.decode(found.source).indices


async def write(store: Store, control: str, position: Position) -> None:
    """Raises: StoreError."""
    (item,) = await store.bulk([put_line(POSITION), msgspec.json.encode(_Document(dict(position)))], index=control)
    if item.status not in (200, 201):
        raise StoreUnavailable(f"the position of usage was not written: {item.error_reason}", item.status)
