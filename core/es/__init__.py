"""The only place that speaks to Elasticsearch.

`ElasticsearchStore` implements `core.ports.Store`. A request's body is bytes before it gets here and goes out as it is;
an answer's bytes are parsed once, by msgspec, into the structs of `answers`. Documents' sources are never parsed here.
Nothing is compressed, and the official client's transport sees bytes only (`transport` plugs in a serializer that
passes them through and a node that neither logs nor decodes them).

What went wrong is decided once, in `failures`, by one question: can the request have been applied? A write whose
connection was never made was not; a write that was sent and got no answer may have been. Writes are never retried
here. Reads go on to the next node, and a read that fails changes nothing, so it is always `StoreUnavailable`.

Each query is a small builder with one intent (`ready_steps`, `sequence_gap`, ...), a pure function that returns the
search body; `bulk_lines` builds the action lines of a `_bulk`.
"""

from .store import ElasticsearchStore, connect

__all__ = ["ElasticsearchStore", "connect"]
