"""Bulk requests to Elasticsearch as bytes, and what is read of their answers."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from .http1 import Address, Answer

# `errors` is among an answer's first fields.
_FIRST_BYTES = 64


class BulkRefused(Exception):
    """Elasticsearch did not take a bulk that it should take; the sentence has its answer's first words."""


class WrittenItem(Struct, frozen=True, rename={"seq_no": "_seq_no", "primary_term": "_primary_term"}):
    """A bulk item's answer, as far as the next conditional write needs it. `seq_no` is -1 for an item refused."""

    status: int
    seq_no: int = -1
    primary_term: int = 0


class _Item(Struct):
    index: WrittenItem


class _BulkAnswer(Struct):
    took: int
    items: list[_Item]


_answer_decoder = msgspec.json.Decoder(_BulkAnswer)


def bulk_request(elasticsearch: Address, index: str, lines: Iterable[bytes]) -> bytes:
    """A `_bulk` of these lines, ready to be sent."""
    body = b"\n".join((*lines, b""))
    return elasticsearch.request("POST", f"/{index}/_bulk", body, content_type="application/x-ndjson")


def written_items(answer: Answer) -> tuple[int, list[WrittenItem]]:
    """What a bulk of `index` items took, in ms, and its items. Raises: BulkRefused when the whole bulk was."""
    if answer.status != 200:
        first_words = answer.body[:300].decode(errors="replace")
        raise BulkRefused(f"Elasticsearch answered {answer.status} to a bulk: {first_words}")
    found = _answer_decoder.decode(answer.body)
    return found.took, [item.index for item in found.items]


def every_item_written(answer: Answer) -> bool:
    """Whether the bulk and each of its items succeeded, without parsing the answer."""
    return answer.status == 200 and b'"errors":false' in answer.body[:_FIRST_BYTES]
