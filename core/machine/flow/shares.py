"""A share of a foreach, as the child instance sees it that runs its items: one block of steps for each."""

from __future__ import annotations

from msgspec.structs import replace

from ....claim.wire import ErrorInfo
from ....definitions.plan import Foreach
from ..ending.cancelling import cancel_open
from ..state import Items, plain
from ..turn import Turn
from .ends import failed_inside


def begin_items(turn: Turn) -> None:
    """Begin as many items as may be under way at once."""
    items: Items | None = turn.get("items")
    assert items is not None
    flow = turn.step(items.path).flow
    assert isinstance(flow, Foreach)
    begun, count = items.begun, item_count(items)
    while begun < count and begun - len(items.finished) < items.max_parallel:
        turn.enter(flow.body, f"{items.path}[{items.first + begun}].")
        begun += 1
    turn.set("items", replace(items, begun=begun))


def item_done(turn: Turn, prefix: str) -> None:
    """An item's steps are done: the next one may begin."""
    items: Items | None = turn.get("items")
    assert items is not None
    index = _index(items, prefix)
    if index not in items.finished:
        turn.set("items", replace(items, finished=(*items.finished, index)))
        begin_items(turn)


def item_failed(turn: Turn, prefix: str, path: str, error: ErrorInfo) -> ErrorInfo | None:
    """An item fails with one of its steps. Returns the error that fails the whole foreach, if it does."""
    items: Items | None = turn.get("items")
    assert items is not None
    flow = turn.step(items.path).flow
    assert isinstance(flow, Foreach)
    cancel_open(turn, prefix, error)
    index = _index(items, prefix)
    turn.set("items", replace(items, failed={**items.failed, index: failed_inside(path, error)}))
    if flow.on_item_failure == "fail":
        return failed_inside(path, error)
    item_done(turn, prefix)
    return None


def item_count(items: Items) -> int:
    """How many items the share has."""
    return len(plain(items.values))


def _index(items: Items, prefix: str) -> int:
    return int(prefix[len(items.path) + 1 : prefix.index("]", len(items.path))])
