"""Action lines of a `_bulk`, without line feeds; `create` and `index` lines are followed by their source line.

They are built once for every document written, so they are byte templates. Ids are JSON-escaped. The index is named by
the bulk's own path, or in the line (`*_in`) where one bulk spans several.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

FENCE_ID = "fence"

_json = msgspec.json.encode


@lru_cache(maxsize=64)
def _index_json(index: str) -> bytes:
    return _json(index)


def create_line(id: str) -> bytes:
    """Write a document that must not exist: 409 when it does."""
    return b'{"create":{"_id":%b}}' % _json(id)


def create_line_in(index: str, id: str) -> bytes:
    """`create_line` for a bulk that spans several indices."""
    return b'{"create":{"_index":%b,"_id":%b}}' % (_index_json(index), _json(id))


def index_line(id: str, seq_no: int, primary_term: int) -> bytes:
    """Write a document over this very version: 409 when another stands there, or none."""
    return b'{"index":{"_id":%b,"if_seq_no":%d,"if_primary_term":%d}}' % (_json(id), seq_no, primary_term)


def put_line(id: str) -> bytes:
    """Write a document whatever stands there."""
    return b'{"index":{"_id":%b}}' % _json(id)


def newest_line_in(index: str, id: str, version: int) -> bytes:
    """Write a document under a version of one's own: 409 when what stands there has a higher one."""
    return b'{"index":{"_index":%b,"_id":%b,"version":%d,"version_type":"external_gte"}}' % (
        _index_json(index),
        _json(id),
        version,
    )


def delete_line(id: str, seq_no: int | None = None, primary_term: int | None = None) -> bytes:
    """Delete this very version (409 otherwise), or without one whatever stands there (404 when nothing does)."""
    if seq_no is None or primary_term is None:
        return b'{"delete":{"_id":%b}}' % _json(id)
    return b'{"delete":{"_id":%b,"if_seq_no":%d,"if_primary_term":%d}}' % (_json(id), seq_no, primary_term)


def fence_lines(epoch: int, writer: str) -> tuple[bytes, bytes]:
    """Write a lane's fence, action and source: 409 when the fence holds a higher epoch than this."""
    action = b'{"index":{"_id":%b,"version":%d,"version_type":"external_gte"}}' % (_json(FENCE_ID), epoch)
    return action, _json({"kind": "fence", "epoch": epoch, "writer": writer})
