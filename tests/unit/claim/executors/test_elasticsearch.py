"""`es-index` and `es-query` against a real Elasticsearch."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from leasehold.claim.executors.cluster import Cluster, ClusterOptions
from leasehold.claim.executors.es_index import EsIndex
from leasehold.claim.executors.es_query import EsQuery
from leasehold.claim.testing import Outcome, run_step_async

MAPPINGS = {"dynamic": False, "properties": {"n": {"type": "long"}, "log.level": {"type": "keyword"}}}


class Ground:
    """Both executors on one cluster, and an index of the test's own."""

    def __init__(self, cluster: Cluster, index: str) -> None:
        self._cluster = cluster
        self.index = index

    async def put(self, documents: list[Any], *, fields: Any = None, **payload: Any) -> Outcome:
        payload = {"index": self.index, "documents": documents, **payload}
        return await run_step_async(EsIndex(self._cluster), "es-index", payload, fields=fields)

    async def query(self, *, fields: Any = None, max_bytes: int = 250_000, **payload: Any) -> Outcome:
        payload = {"index": self.index, **payload}
        return await run_step_async(EsQuery(self._cluster, max_bytes), "es-query", payload, fields=fields)


@pytest.fixture
async def ground(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Ground]:
    async with Cluster(ClusterOptions((elasticsearch_url,))) as cluster:
        yield Ground(cluster, f"{index_prefix}-lines")


def error_of(outcome: Outcome) -> tuple[str, bool, str]:
    assert outcome.error is not None, outcome
    return outcome.error.type, outcome.retryable, outcome.error.message


async def test_documents_are_indexed_and_the_next_step_finds_them(ground: Ground) -> None:
    put = await ground.put([{"n": 1, "log.level": "INFO"}, {"n": 2, "log.level": "WARN"}], mappings=MAPPINGS)
    assert {name: put.result[name] for name in ("indexed", "created", "updated", "index_created")} == {
        "indexed": 2,
        "created": 2,
        "updated": 0,
        "index_created": True,
    }
    found = await ground.query(
        query={"term": {"log.level": "WARN"}}, sort=[{"n": "desc"}], aggs={"sum": {"sum": {"field": "n"}}}
    )
    (hit,) = found.result["hits"]
    assert (hit["n"], hit["log.level"], hit["_index"], hit["_sort"]) == (2, "WARN", ground.index, [2])
    assert hit["_id"]
    assert (found.result["total"], found.result["aggregations"]) == (1, {"sum": {"value": 2.0}})
    assert found.result["took_ms"] >= 0


async def test_a_repeated_attempt_overwrites_what_the_first_one_wrote(ground: Ground) -> None:
    lines = [{"n": number} for number in range(20)]
    await ground.put(lines, mappings=MAPPINGS)
    again = await ground.put(lines, mappings=MAPPINGS, fields={"attempt": 2, "token": 7})
    assert (again.result["updated"], again.result["index_created"]) == (20, False)
    assert (await ground.query(size=0)).result["total"] == 20


async def test_another_step_writes_documents_of_its_own(ground: Ground) -> None:
    await ground.put([{"n": 1}])
    await ground.put([{"n": 1}], fields={"run_path": "another"})
    await ground.put([{"n": 1}], fields={"workflow_id": "00-another"})
    assert (await ground.query(size=0)).result["total"] == 3


async def test_a_document_may_have_an_id_of_its_own_and_a_line_may_be_text(ground: Ground) -> None:
    await ground.put([{"_id": "mine", "n": 1}, '{"n": 2}', "plain words", "[1, 2]"])
    found = (await ground.query()).result["hits"]
    assert {hit["_id"]: hit["n"] for hit in found if "n" in hit}["mine"] == 1
    assert sorted(hit["message"] for hit in found if "message" in hit) == ["[1, 2]", "plain words"]
    assert [hit["n"] for hit in found if hit.get("n") == 2] == [2]


async def test_no_documents_are_no_request_but_the_index_is_made(ground: Ground) -> None:
    put = await ground.put([], mappings=MAPPINGS, settings={"number_of_replicas": 0})
    assert (put.result["indexed"], put.result["index_created"]) == (0, True)
    assert (await ground.query()).result["total"] == 0


async def test_documents_that_are_refused_fail_the_step_with_the_reason(ground: Ground) -> None:
    put = await ground.put([{"n": 1}, {"n": "three"}], mappings=MAPPINGS)
    kind, retryable, message = error_of(put)
    assert (kind, retryable) == ("es.rejected", False)
    assert message.startswith("1 of 2 documents were refused; the first: document_parsing_exception")
    assert (await ground.query(size=0)).result["total"] == 1


async def test_mappings_that_are_refused_fail_the_step(ground: Ground) -> None:
    kind, retryable, message = error_of(await ground.put([], mappings={"properties": {"n": {"type": "nonsense"}}}))
    assert (kind, retryable) == ("es.400", False)
    assert "nonsense" in message


async def test_an_index_that_is_not_there_is_not_found(ground: Ground) -> None:
    kind, retryable, message = error_of(await ground.query())
    assert (kind, retryable) == ("es.404", False)
    assert message.startswith("index_not_found_exception: no such index")


async def test_a_query_that_elasticsearch_does_not_know_fails_with_its_words(ground: Ground) -> None:
    await ground.put([{"n": 1}])
    kind, retryable, message = error_of(await ground.query(query={"trem": {"n": 1}}))
    assert (kind, retryable) == ("es.400", False)
    assert "unknown query [trem]" in message


async def test_without_an_index_the_permissions_say_what_is_searched(ground: Ground) -> None:
    await ground.put([{"n": 1}])
    fields = {"permissions": [f"read:{ground.index}", "write:other", "read:nothing-like-it-*"]}
    found = await ground.query(index=None, fields=fields)
    assert found.result["total"] == 1


async def test_source_fields_and_pages_are_as_in_elasticsearch(ground: Ground) -> None:
    await ground.put([{"n": number, "text": "long"} for number in range(5)], mappings=MAPPINGS)
    page: dict[str, Any] = {"sort": ["n"], "size": 2, "_source": ["n"]}
    second = await ground.query(**page, **{"from": 2})
    assert [(hit["n"], "text" in hit) for hit in second.result["hits"]] == [(2, False), (3, False)]
    after = await ground.query(**page, search_after=second.result["hits"][-1]["_sort"])
    assert [hit["n"] for hit in after.result["hits"]] == [4]
    bare = await ground.query(_source=False, fields=None, size=1, track_total_hits=False)
    assert (bare.result["total"], "n" in bare.result["hits"][0]) == (None, False)
    capped = await ground.query(size=0, track_total_hits=3)
    assert (capped.result["total"], capped.result["total_is_lower_bound"]) == (3, True)


async def test_a_result_over_the_bound_names_the_ways_to_a_smaller_one(ground: Ground) -> None:
    await ground.put([{"text": "x" * 1_000} for _ in range(10)])
    kind, retryable, message = error_of(await ground.query(max_bytes=5_000))
    assert (kind, retryable) == ("es.too_large", False)
    assert "at most 5000 are allowed" in message
    assert "(size)" in message


async def test_the_lines_of_a_real_log_come_back_as_they_were(ground: Ground) -> None:
    line = {"@timestamp": "2026-01-01T00:00:00.000Z", "log.level": "INFO", "message": 'it\'s "quoted" \u2028 ä'}
    await ground.put([json.dumps(line)], mappings={**MAPPINGS, "dynamic": False})
    (hit,) = (await ground.query()).result["hits"]
    assert {name: value for name, value in hit.items() if not name.startswith("_")} == line
