"""Requests that no well-behaved client sends, over a raw socket: each gets a problem document, none a 500."""

from __future__ import annotations

import asyncio
import gc
import gzip
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from leasehold.claim.wire import ClaimedStep, StartAnswer
from leasehold.core.app.http1.connection import Connection

from tests.kit.answering import (
    Answer,
    Answering,
    answering_replica,
    connected,
    json_request,
    read_answer,
    request,
    send_raw,
)

pytestmark = [pytest.mark.elasticsearch, pytest.mark.asyncio(loop_scope="module")]

DEFINITION = b"""\
name: nasty
version: 1
steps:
  - {name: only, executor: nasty-work, input: "{{ inputs }}"}
"""

START = "/_workflows/nasty/_start"
COMPLETE = "/_workflows/_steps/00-nothing/_complete"
CLAIM = "/_workflows/_steps/_claim"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(elasticsearch_url: str) -> AsyncIterator[Answering]:
    async with answering_replica(elasticsearch_url, f"test-{secrets.token_hex(5)}") as answering:
        yaml = request("PUT", "/_workflows/nasty", "Content-Type: application/yaml", body=DEFINITION)
        stored = await send_raw(answering.port, yaml)
        assert stored.status == 201, stored
        yield answering


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _no_defect_shows(served: Answering) -> AsyncIterator[None]:
    before = served.unexpected_errors
    yield
    assert served.unexpected_errors == before
    assert (await send_raw(served.port, request("GET", "/healthz"))).status == 200


NO_HTTP = {
    "no request line": b"\r\n\r\n\r\nhello\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "TLS hello": bytes.fromhex("160301020001") + b"\x00" * 64 + b"\r\n\r\n",
    "another version": b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
    "header without a colon": b"GET /healthz HTTP/1.1\r\nHost a\r\n\r\n",
    "space before the colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "long request line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "long header": b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(2_000)) + b"\r\n",
    "length is no number": b"POST " + COMPLETE.encode() + b" HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
    "negative length": b"POST " + COMPLETE.encode() + b" HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST " + COMPLETE.encode() + b" HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "length and chunks": b"POST "
    + COMPLETE.encode()
    + b" HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown transfer encoding": b"POST " + COMPLETE.encode() + b" HTTP/1.1\r\nTransfer-Encoding: cow\r\n\r\n{}",
}


@pytest.mark.parametrize("name", NO_HTTP)
async def test_what_is_no_http_gets_a_problem_and_the_connection_ends(served: Answering, name: str) -> None:
    async with connected(served.port) as (reader, writer), asyncio.timeout(20):
        writer.write(NO_HTTP[name])
        answer = await read_answer(reader)
        assert 400 <= answer.problem.status < 500
        assert await reader.read() == b""


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("GET", "/"), 404),
        (request("GET", "//"), 404),
        (request("GET", "/_workflows/"), 404),
        (request("GET", "/../../etc/passwd"), 404),
        (request("GET", "/_workflows/%2e%2e"), 404),
        (request("GET", "/_workflows/no-such-name"), 404),
        (request("GET", "/_workflows/" + "%00" * 20), 404),
        (request("GET", "/_workflows/%zz"), 400),
        (request("GET", "/_workflows/%ff%fe"), 400),
        (request("GET", "/_workflows/\udcff\udcfe"), 400),
        (request("GET", "/_workflows/%ED%A0%80"), 400),
        (request("GET", "/_workflows/" + "n" * 5_000), 400),
        (request("GET", "/_workflows/nasty?version=0"), 400),
        (request("GET", "/_workflows/nasty?version=" + "9" * 500), 400),
        (request("GET", "/_workflows/nasty?version=2&version=3"), 400),
        (request("GET", "/_workflows/nasty?vresion=2"), 400),
        (request("GET", "/_workflows/nasty?%ff=1"), 400),
        (request("GET", "/_workflows/nasty?version=99"), 404),
        (request("GET", "/_workflows/_instances/" + "a" * 900), 404),
        (request("GET", "/_workflows/_instances/99-0123456789"), 404),
        (request("GET", "/_workflows/_instances/%F0%9F%92%A9"), 404),
        (request("GET", "/_workflows/_instances/_all"), 404),
        (request("GET", "/_workflows/_instances/*"), 404),
        (request("PATCH", "/_workflows/nasty"), 405),
        (request("TRACE", "/_workflows/nasty"), 405),
        (request("BREW", "/_workflows/nasty"), 400),
        (request("DELETE", "/_workflows/no-such-name"), 404),
        (request("POST", "/_workflows/_peers"), 404),
        (request("POST", "/_workflows/_peers", "X-Leasehold-Peer: \udcff", body=b"{}"), 404),
        (request("POST", "/_workflows/_peers", "X-Leasehold-Peer: guess", body=b"{}"), 404),
        (request("POST", CLAIM), 400),
        (request("POST", CLAIM + "?capability="), 400),
        (request("POST", CLAIM + "?capability=a,,b"), 400),
        (request("POST", CLAIM + "?capability=a&wait=soon"), 400),
        (request("POST", CLAIM + "?capability=a&lease=0s"), 422),
        (request("POST", CLAIM + "?capability=a&lease=999999999999d"), 422),
        (request("POST", CLAIM + "?capability=a&max=-1"), 400),
        (request("POST", CLAIM + "?capability=a", "X-Leasehold-Tenant: a b"), 400),
        (request("POST", CLAIM + "?capability=a", "X-Leasehold-Tenant: \udcff"), 400),
        (request("POST", CLAIM + "?capability=a", "X-Leasehold-Space: a", "X-Leasehold-Space: b"), 400),
        (request("POST", CLAIM + "?capability=a", "Sec-Fetch-Site: cross-site"), 403),
        (request("POST", START, "X-Leasehold-Tenant: *"), 403),
        (request("POST", START, "Idempotency-Key: "), 400),
        (request("POST", START, "Idempotency-Key: \udcff"), 400),
        (request("POST", START, "Idempotency-Key: " + "k" * 2_000), 400),
        (request("POST", START, "Idempotency-Key: a", "Idempotency-Key: b"), 400),
        (json_request("POST", "/_workflows/no-such-name/_start", {}), 404),
        (json_request("POST", START, {"version": 99}), 404),
        (json_request("POST", START, {"parms": {}}), 400),
        (json_request("POST", START, []), 400),
        (json_request("POST", START, b"nul"), 400),
        (json_request("POST", START, b'{"params":{"a":NaN}}'), 400),
        (json_request("POST", START, b'{"params":{"a":"\\ud800"}}'), 400),
        (json_request("POST", START, b'{"params":{"a":"\xff"}}'), 400),
        (json_request("POST", START, b'{"params":{"\xff":1}}'), 400),
        (json_request("POST", START, b'{"params":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}"), 400),
        (json_request("POST", START, b'{"params":{"a":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}}"), 400),
        (json_request("POST", START, b'{"params":{"a":' + b"9" * 6_000 + b"}}"), 400),
        (json_request("POST", START, {"labels": {"a": "b" * 2_000}}), 400),
        (json_request("POST", START, {"labels": {f"k{n}": "v" for n in range(100)}}), 400),
        (json_request("POST", START, {"params": {"a": "x" * 300_000}}), 413),
        (json_request("POST", START, {"params": {"a": "x" * 2_000_000}}), 413),
        (json_request("POST", COMPLETE, {"result": "x" * 2_000_000}), 413),
        (json_request("POST", COMPLETE, {}), 404),
        (json_request("POST", "/_workflows/_steps/%F0%9F%92%A9/_complete", {}), 404),
        (json_request("POST", "/_workflows/_steps/../_complete", {}), 404),
        (json_request("POST", COMPLETE.replace("_complete", "_fail"), {}), 400),
        (request("POST", COMPLETE.replace("_complete", "_fail")), 400),
        (json_request("POST", "/_workflows/_steps/_bulk", {"reports": [{"step_id": "a", "action": "eat"}]}), 400),
        (json_request("POST", "/_workflows/_start", {"starts": [{}]}), 400),
        (json_request("POST", "/_workflows/_start", {"starts": [{"workflow": "nasty"}] * 10_001}), 400),
        (json_request("POST", "/_workflows/_instances/99-0/_approve?step=", {}), 400),
        (json_request("POST", "/_workflows/_instances/99-0/_approve", {"comment": "x" * 10_000}), 400),
        (request("POST", START, "Content-Type: text/plain", body=b"{}"), 415),
        (request("POST", START, "Content-Type: application/x-www-form-urlencoded", body=b"{}"), 415),
        (request("POST", START, "Content-Type: application/json; charset=utf-16", body=b"{}"), 415),
        (request("POST", START, "Content-Type: \udcff", body=b"{}"), 415),
        (request("POST", START, "Content-Type: application/json", "Content-Encoding: gzip", body=b"no gzip"), 400),
        (request("POST", START, "Content-Type: application/json", "Expect: a miracle", body=b"{}"), 417),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/json", body=b"[1]"), 400),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/json", body=b"{"), 400),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/yaml", body=b"a: [\x00"), 422),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/yaml", body=b"\xff\xfe"), 422),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/yaml", body=b"a: &a [*a]"), 422),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/yaml", body=b"- " * 5_000), 422),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/yaml"), 400),
        (request("PUT", "/_workflows/nasty", "Content-Type: application/yaml", body=b"# " + b"x" * 300_000), 413),
        (request("PUT", "/_workflows/other", "Content-Type: application/yaml", body=DEFINITION), 422),
    ],
    ids=lambda value: value[:70].split(b"HTTP/1.1")[0].decode("latin-1") if isinstance(value, bytes) else str(value),
)
async def test_each_mistake_has_its_status(served: Answering, raw: bytes, status: int) -> None:
    problem = (await send_raw(served.port, raw)).problem
    assert problem.status == status, problem.detail


async def test_a_compressed_bomb_is_stopped_by_what_it_unpacks_to(served: Answering) -> None:
    bomb = gzip.compress(b'{"params":{"a":"' + b"x" * 50_000_000 + b'"}}')
    head = ("Content-Type: application/json", "Content-Encoding: gzip")
    assert (await send_raw(served.port, request("POST", START, *head, body=bomb))).problem.status == 413


async def test_a_compressed_body_is_read(served: Answering) -> None:
    head = ("Content-Type: application/json", "Content-Encoding: gzip")
    body = gzip.compress(b'{"params":{"a":1}}')
    assert (await send_raw(served.port, request("POST", START, *head, body=body))).status == 201


async def test_an_endless_body_is_refused_while_it_arrives(served: Answering) -> None:
    head = request("POST", START, "Content-Type: application/json", "Transfer-Encoding: chunked")
    async with connected(served.port) as (reader, writer), asyncio.timeout(20):
        writer.write(head)
        for _ in range(40):
            writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            await writer.drain()
        answer = await read_answer(reader)
    assert answer.problem.status == 413


async def test_an_announced_size_is_refused_before_the_body_comes(served: Answering) -> None:
    head = request(
        "POST", START, "Content-Type: application/json", "Content-Length: 99999999999", "Expect: 100-continue"
    )
    assert (await send_raw(served.port, head)).problem.status == 413


async def test_a_client_that_waits_to_be_asked_is_asked_for_its_body(served: Answering) -> None:
    head = request("POST", START, "Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue")
    async with connected(served.port) as (reader, writer), asyncio.timeout(20):
        writer.write(head)
        assert (await read_answer(reader)).status == 100
        writer.write(b"{}")
        assert (await read_answer(reader)).status == 201


async def test_requests_may_come_in_one_packet_and_in_single_bytes(served: Answering) -> None:
    async with connected(served.port) as (reader, writer), asyncio.timeout(20):
        writer.write(request("GET", "/healthz") * 20)
        assert [(await read_answer(reader)).status for _ in range(20)] == [200] * 20
        for byte in json_request("POST", START, {"params": {"a": 1}}):
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await read_answer(reader)).status == 201


async def test_head_has_the_headers_of_get_and_no_body(served: Answering) -> None:
    async with connected(served.port) as (reader, writer), asyncio.timeout(20):
        writer.write(request("HEAD", "/_workflows/nasty") + request("GET", "/_workflows/nasty"))
        head = await read_answer(reader, with_body=False)
        full = await read_answer(reader)
    assert (head.status, head.headers["content-length"]) == (200, str(len(full.body)))


async def test_head_is_refused_where_get_is(served: Answering) -> None:
    async with connected(served.port) as (reader, writer), asyncio.timeout(20):
        writer.write(request("HEAD", CLAIM))
        assert (await read_answer(reader, with_body=False)).status == 405


async def test_options_names_the_methods_of_a_path(served: Answering) -> None:
    answer = await send_raw(served.port, request("OPTIONS", CLAIM))
    assert (answer.status, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert (await send_raw(served.port, request("OPTIONS", "*"))).status == 204


async def test_a_refused_method_names_the_allowed_ones(served: Answering) -> None:
    answer = await send_raw(served.port, request("PATCH", "/_workflows/nasty"))
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"


async def test_values_at_the_edge_of_json_come_back_as_they_went(served: Answering) -> None:
    edges = {"big": 2**70, "small": 5e-324, "text": "\x00\u2028𝄞", "": {"": []}, "a.b": {"$c": None}, "neg": -0.0}
    started = await send_raw(served.port, json_request("POST", START, {"params": {"edges": edges}}))
    assert started.status == 201, started
    instance = msgspec.json.decode(started.body, type=StartAnswer).instance_id
    shown = await send_raw(served.port, request("GET", f"/_workflows/_instances/{instance}"))
    assert msgspec.json.decode(shown.body)["inputs"]["edges"] == edges


async def claim(served: Answering, query: str) -> Answer:
    return await send_raw(served.port, request("POST", f"{CLAIM}?capability=nasty-work{query}"))


async def drained(served: Answering) -> None:
    """Leave no claimable step behind."""
    while (await claim(served, "&max=100")).body != b'{"steps":[]}':
        pass


async def test_a_client_that_leaves_while_its_claim_waits_takes_no_step_with_it(served: Answering) -> None:
    await drained(served)
    async with connected(served.port) as (_, writer):
        writer.write(request("POST", f"{CLAIM}?capability=nasty-work&wait=30s"))
        await writer.drain()
        while not served.surface.waiting_claims:
            await asyncio.sleep(0)
    while served.surface.waiting_claims:
        await asyncio.sleep(0)
    assert (await send_raw(served.port, json_request("POST", START, {"params": {"n": 1}}))).status == 201
    answer = await claim(served, "&wait=10s")
    assert answer.status == 200, answer
    assert msgspec.json.decode(answer.body, type=ClaimedStep).attempt == 1


async def test_a_client_that_leaves_just_before_its_answer_gives_its_lease_back(
    served: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    await drained(served)
    assert (await send_raw(served.port, json_request("POST", START, {"params": {"n": 2}}))).status == 201
    granted = served.replica.claim
    async with connected(served.port) as (reader, writer):
        client_port = writer.get_extra_info("sockname")[1]

        async def claim_and_lose_the_client(*arguments: Any, **options: Any) -> list[ClaimedStep]:
            steps = await granted(*arguments, **options)
            connection_from(client_port).abort()
            return steps

        with monkeypatch.context() as patched:
            patched.setattr(served.replica, "claim", claim_and_lose_the_client)
            writer.write(request("POST", f"{CLAIM}?capability=nasty-work&wait=10s"))
            assert await reader.read() == b""
    answer = await claim(served, "&wait=10s")
    assert answer.status == 200, answer
    assert msgspec.json.decode(answer.body, type=ClaimedStep).attempt == 1


def connection_from(client_port: int) -> Any:
    """The server's end of a connection, which it keeps to itself."""
    transports = (found._transport for found in gc.get_objects() if isinstance(found, Connection))
    return next(found for found in transports if found and found.get_extra_info("peername")[1] == client_port)
