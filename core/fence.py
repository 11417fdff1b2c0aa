"""A lane's fence: the document through which a higher epoch shuts out a lower one.

Every bulk of an owner ends with a write of the fence under its epoch (`external_gte`), so a bulk of an owner that has
been succeeded fails at that item, and nobody in it is answered. Source: design, "Lanes, owners, fences" (ADR 1).
"""

from __future__ import annotations

import msgspec

from .es.bulk_lines import fence_line

FENCE_ID = "fence"


def fence_lines(epoch: int, writer: str) -> list[bytes]:
    """The fence's action and source line."""
    return [fence_line(FENCE_ID, epoch), msgspec.json.encode({"kind": "fence", "epoch": epoch, "writer": writer})]
