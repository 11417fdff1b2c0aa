"""The query that counts tenants' documents."""

from __future__ import annotations

from leasehold.core.es.tenant_documents import count_body


def test_all_documents_of_a_moment_are_counted_and_none_is_fetched() -> None:
    assert count_body("P", keep_alive_ms=5_000) == {
        "pit": {"id": "P", "keep_alive": "5000ms"},
        "query": {"match_all": {}},
        "size": 0,
        "track_total_hits": True,
    }
