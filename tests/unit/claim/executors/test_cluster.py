"""Requests to Elasticsearch where it is not there, or not itself; payloads that never reach it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from leasehold.claim import ClaimError
from leasehold.claim.errors import StepFailed
from leasehold.claim.executors.cluster import Cluster, ClusterOptions
from leasehold.claim.executors.es_index import EsIndex, bulk_lines, counts_of
from leasehold.claim.executors.es_query import EsQuery, result_of
from leasehold.claim.testing import Outcome, run_step_async

from .test_http import answering, serving

EMPTY = b'{"took": 1, "timed_out": false, "hits": {"total": {"value": 0, "relation": "eq"}, "hits": []}}'


@asynccontextmanager
async def searching(*urls: str, **options: Any) -> AsyncIterator[EsQuery]:
    async with Cluster(ClusterOptions(urls, **options)) as cluster:
        yield EsQuery(cluster, 250_000)


async def searched(*urls: str, payload: Any = None, **options: Any) -> Outcome:
    async with searching(*urls, **options) as query:
        return await run_step_async(query, "es-query", payload or {"index": "logs"})


def error_of(outcome: Outcome) -> tuple[str, bool]:
    assert outcome.error is not None, outcome
    return outcome.error.type, outcome.retryable


async def test_a_node_that_is_away_is_passed_over_and_asked_last_from_then_on() -> None:
    async with serving(answering(body=EMPTY)) as gone:
        pass
    asked: list[str] = []

    async def answer(request: Any) -> Any:
        asked.append(request.rel_url.path)
        return await answering(body=EMPTY)(request)

    async with serving(answer) as url, searching(gone, url) as query:
        for _ in range(2):
            assert (await run_step_async(query, "es-query", {"index": "logs"})).result["total"] == 0
        assert query._cluster._urls == [url, gone]
    assert asked == ["/logs/_search"] * 2


async def test_no_node_at_all_may_be_tried_again() -> None:
    async with serving(answering(body=EMPTY)) as gone:
        pass
    assert error_of(await searched(gone)) == ("es.connection", True)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (403, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_only_what_may_pass_is_worth_another_attempt(status: int, retryable: bool) -> None:
    body = msgspec.json.encode(
        {
            "error": {
                "type": "outer",
                "reason": "it failed",
                "root_cause": [{"type": "inner", "reason": "this is why"}],
                "caused_by": {"type": "deep", "reason": "and this"},
            },
            "status": status,
        }
    )
    async with serving(answering(status, body=body, content_type="application/json")) as url:
        outcome = await searched(url)
    assert error_of(outcome) == (f"es.{status}", retryable)
    assert outcome.error is not None
    assert outcome.error.message == "outer: it failed; inner: this is why"


@pytest.mark.parametrize(("status", "body"), [(502, b"<html>bad gateway"), (200, b"<html>hello"), (401, b"")])
async def test_an_answer_that_is_no_json_is_no_answer(status: int, body: bytes) -> None:
    async with serving(answering(status, body=body)) as url:
        outcome = await searched(url)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == (f"es.{status}", f"it answered {status} and no JSON")


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"api_key": "abc"}, "ApiKey abc"),
        ({"username": "elastic", "password": "pä"}, "Basic ZWxhc3RpYzpww6Q="),
        ({}, None),
    ],
)
async def test_credentials_go_with_each_request(options: dict[str, str], header: str | None) -> None:
    seen: list[Any] = []

    async def answer(request: Any) -> Any:
        seen.append(request.headers.get("Authorization"))
        return await answering(body=EMPTY)(request)

    async with serving(answer) as url:
        await searched(url, **options)
    assert seen == [header]


async def test_credentials_of_an_address_are_used_and_not_shown() -> None:
    async with serving(answering(body=EMPTY)) as url:
        pass
    outcome = await searched(url.replace("http://", "http://elastic:secret@"))
    assert outcome.error is not None
    assert "secret" not in outcome.error.message


@pytest.mark.parametrize("url", ["localhost:9200", "ftp://u:secret@host", ""])
def test_an_address_that_can_not_be_one_is_refused(url: str) -> None:
    with pytest.raises(ClaimError, match=r"write http\(s\)://host:port") as caught:
        Cluster(ClusterOptions((url,)))
    assert "secret" not in str(caught.value)


def test_certificates_that_can_not_be_read_are_refused() -> None:
    with pytest.raises(ClaimError, match=r"/nowhere\.pem can't be used"):
        Cluster(ClusterOptions(("https://host",), ca_certs="/nowhere.pem"))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"size": 1}, "the payload names no index"),
        ({"index": []}, "the payload names no index"),
        ({"index": "logs", "size": 10_001}, "size"),
        ({"index": "logs", "qeury": {}}, "did you mean query?"),
        ({"index": "_cluster"}, "none beginning with _"),
        ({"index": ["logs", "_security"]}, "none beginning with _"),
        ({"index": "logs,,"}, "none beginning with _"),
        ([], "expected object, got array"),
        ("logs", "expected object, got str"),
    ],
)
async def test_a_search_that_does_not_fit_is_not_sent(payload: Any, words: str) -> None:
    async with searching("http://127.0.0.1:1") as query:
        outcome = await run_step_async(query, "es-query", payload)
    assert error_of(outcome) == ("payload.invalid", False)
    assert outcome.error is not None
    assert words in outcome.error.message.replace("`", "")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"documents": []}, "missing required field index"),
        ({"index": "logs"}, "missing required field documents"),
        ({"index": "logs-*", "documents": []}, "allowed is one name"),
        ({"index": "a,b", "documents": []}, "allowed is one name"),
        ({"index": "logs", "documents": [1]}, "at $.documents[0]"),
        ({"index": "logs", "documents": [], "refresh": "soon"}, "soon"),
    ],
)
async def test_documents_that_do_not_fit_are_not_sent(payload: Any, words: str) -> None:
    async with Cluster(ClusterOptions(("http://127.0.0.1:1",))) as cluster:
        outcome = await run_step_async(EsIndex(cluster), "es-index", payload)
    assert error_of(outcome) == ("payload.invalid", False)
    assert outcome.error is not None
    assert words in outcome.error.message


async def test_an_index_name_stays_one_segment_of_the_path() -> None:
    seen: list[str] = []

    async def answer(request: Any) -> Any:
        seen.append(request.rel_url.raw_path)
        return await answering(body=EMPTY)(request)

    async with serving(answer) as url:
        await searched(url, payload={"index": ["<logs-{now/d}>", "a/../b", "logs-*"]})
    assert seen == ["/%3Clogs-%7Bnow%2Fd%7D%3E,a%2F..%2Fb,logs-*/_search"]


def test_a_search_that_was_cut_short_is_no_result() -> None:
    with pytest.raises(StepFailed, match=r"es\.timeout"):
        result_of({"timed_out": True, "took": 10, "hits": {"hits": []}})


def test_refusals_that_may_pass_are_worth_another_attempt() -> None:
    def answer(*statuses: int) -> Any:
        return {"items": [{"index": {"status": s, "error": {"type": "t", "reason": "r"}}} for s in statuses]}

    for statuses, retryable in (((429, 429), True), ((429, 400), False)):
        with pytest.raises(StepFailed) as caught:
            counts_of(answer(*statuses))
        assert caught.value.retryable is retryable


def test_document_ids_differ_between_steps_and_not_between_attempts() -> None:
    one, again, other = (bulk_lines([{"n": 1}, {"n": 1}], key) for key in ("a:x", "a:x", "a:y"))
    assert one == again
    ids = [msgspec.json.decode(line)["index"]["_id"] for line in (one + other).splitlines()[::2]]
    assert len(set(ids)) == 4


async def test_an_answer_that_does_not_end_is_bounded_in_size() -> None:
    async def endless(request: Any) -> Any:
        from aiohttp import web

        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1_000_000)

    async with serving(endless) as url:
        async with asyncio.timeout(20):
            assert error_of(await searched(url)) == ("es.too_large", False)
