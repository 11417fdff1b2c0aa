"""Elasticsearch's answers, as far as they are read: msgspec parses them once and skips the rest."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct, field


class Cause(Struct, gc=False):
    """Elasticsearch's own words for what failed."""

    type: str = ""
    reason: str | None = None


class TopCause(Cause, gc=False):
    root_cause: list[Cause] = []


class Failure(Struct):
    """The body of an answer that is not 2xx; some endpoints give a bare string."""

    error: TopCause | str | None = None


class BulkResult(Struct, gc=False):
    status: int
    index: str = field(name="_index", default="")
    id: str = field(name="_id", default="")
    seq_no: int = field(name="_seq_no", default=-1)
    primary_term: int = field(name="_primary_term", default=0)
    error: Cause | None = None


class BulkEntry(Struct, gc=False):
    """One item under the name of its action: exactly one is set."""

    index: BulkResult | None = None
    create: BulkResult | None = None
    delete: BulkResult | None = None


class BulkAnswer(Struct):
    items: list[BulkEntry]


class IndexMade(Struct):
    shards_acknowledged: bool = False


class Found(Struct):
    """What a GET, or one document of a multi-GET, answers."""

    index: str = field(name="_index", default="")
    id: str = field(name="_id", default="")
    found: bool = False
    seq_no: int = field(name="_seq_no", default=-1)
    primary_term: int = field(name="_primary_term", default=0)
    source: Raw = field(name="_source", default=Raw())
    error: TopCause | str | None = None


class FoundMany(Struct):
    docs: list[Found]


class Hit(Struct):
    index: str = field(name="_index")
    id: str = field(name="_id")
    seq_no: int = field(name="_seq_no", default=-1)
    primary_term: int = field(name="_primary_term", default=0)
    source: Raw = field(name="_source", default=Raw())
    sort: tuple[Any, ...] = ()


class Total(Struct):
    value: int


class Hits(Struct):
    hits: list[Hit]
    total: Total | None = None


class SearchAnswer(Struct):
    hits: Hits
    timed_out: bool = False
    pit_id: str | None = None
    aggregations: Raw = Raw()


class OneOfMany(SearchAnswer):
    """One search's part of a `_msearch`: a page, or what went wrong with it."""

    hits: Hits = field(default_factory=lambda: Hits([]))
    status: int = 200
    error: TopCause | None = None


class ManyAnswers(Struct):
    responses: list[OneOfMany]


class PitAnswer(Struct):
    id: str


class Routing(Struct):
    primary: bool


class SequenceNumbers(Struct):
    max_seq_no: int
    global_checkpoint: int


class ShardCopy(Struct):
    routing: Routing
    seq_no: SequenceNumbers | None = None


class IndexStats(Struct):
    uuid: str
    shards: dict[str, list[ShardCopy]]


class Stats(Struct):
    indices: dict[str, IndexStats]


class GlobalCheckpoints(Struct):
    """What `_fleet/global_checkpoints` answers: one checkpoint a shard."""

    global_checkpoints: list[int]
    timed_out: bool


class AliasEntry(Struct):
    is_write_index: bool | None = None


class IndexAliases(Struct):
    aliases: dict[str, AliasEntry]


INDEX_MADE = msgspec.json.Decoder(IndexMade)
BULK = msgspec.json.Decoder(BulkAnswer)
FAILURE = msgspec.json.Decoder(Failure)
FOUND = msgspec.json.Decoder(Found)
FOUND_MANY = msgspec.json.Decoder(FoundMany)
SEARCH = msgspec.json.Decoder(SearchAnswer)
SEARCH_MANY = msgspec.json.Decoder(ManyAnswers)
PIT = msgspec.json.Decoder(PitAnswer)
STATS = msgspec.json.Decoder(Stats)
GLOBAL_CHECKPOINTS = msgspec.json.Decoder(GlobalCheckpoints)
ALIASES = msgspec.json.Decoder(dict[str, IndexAliases])
