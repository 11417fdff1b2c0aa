"""Python's garbage collector, set for a process that holds many long-lived instances.

Almost everything here is freed by its last reference; the collector is needed for the few cycles that requests and
their exceptions leave. As Python sets it, it looks through all residents again and again while they grow: a third of
the CPU time of a start, and a pause of 0.4 s at each full collection of 50,000 residents.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New containers until the youngest are collected, and how often that happens until the next older generation is. Two
# young collections in a row find what a request left; a full one comes after five million containers more than freed.
_THRESHOLDS = (2_000, 10, 250)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Leave what exists now (modules, definitions) out of collections, and make full ones rare."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
