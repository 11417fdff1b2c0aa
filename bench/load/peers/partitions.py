"""Which node looks for which tasks, as Kibana spreads them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

PARTITIONS = 256
OWNERS_A_PARTITION = 2


def partition_of(id: str) -> int:
    """A task's partition: a hash of its id. (Kibana takes murmur3; any even hash spreads alike.)"""
    return crc32(id.encode()) % PARTITIONS


def partitions_of(node: str, nodes: Sequence[str]) -> list[int]:
    """The partitions that `node` looks through. Each partition's owners are the next ones in the circle of nodes.

    Every node computes the same circle. A lone node owns everything, two nodes both own everything; of four, the first
    two share one half and the last two the other.
    """
    circle = sorted(nodes)
    at = circle.index(node)
    return [
        partition
        for partition in range(PARTITIONS)
        if any((partition * OWNERS_A_PARTITION + owner) % len(circle) == at for owner in range(OWNERS_A_PARTITION))
    ]
