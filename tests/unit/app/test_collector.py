"""The garbage collector while a replica serves."""

from __future__ import annotations

import gc
import weakref

from leasehold.core.app.collector import rare_collections


class Node:
    """Something that can hold itself."""

    def __init__(self) -> None:
        self.myself = self


def test_a_full_collection_is_rare_while_serving_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    with rare_collections():
        young, middle, old = gc.get_threshold()
        assert young * middle * old >= 5_000_000
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_what_a_request_leaves_in_a_cycle_is_found_by_the_younger_collections() -> None:
    with rare_collections():
        left = weakref.ref(Node())
        gc.collect(1)
        assert left() is None
