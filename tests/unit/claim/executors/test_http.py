"""The executor `http` against a real HTTP server."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from leasehold.claim.executors.http import Http
from leasehold.claim.testing import Outcome, run_step_async

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(respond: Respond) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(respond, handler_cancellation=True))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def asked(payload: Any, *, allow: tuple[str, ...] = (), max_bytes: int = 10_000, **fields: Any) -> Outcome:
    async with aiohttp.ClientSession() as session:
        return await run_step_async(Http(session, allow, max_bytes), "http", payload, fields=fields)


async def echo(request: web.BaseRequest) -> web.Response:
    return web.json_response(
        {
            "method": request.method,
            "path": request.rel_url.raw_path_qs,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": (await request.text()),
        }
    )


def answering(status: int = 200, **options: Any) -> Respond:
    async def respond(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, **options)

    return respond


def error_type(outcome: Outcome) -> str:
    assert outcome.error is not None
    return outcome.error.type


async def test_a_url_alone_is_a_get_whose_json_is_the_result() -> None:
    async with serving(echo) as url:
        outcome = await asked({"url": f"{url}/a%20b?x=1"})
    assert (outcome.result["status"], outcome.result["json"]["method"]) == (200, "GET")
    assert outcome.result["json"]["path"] == "/a%20b?x=1"
    assert outcome.result["headers"]["content-type"] == "application/json; charset=utf-8"


async def test_parameters_join_those_of_the_url() -> None:
    async with serving(echo) as url:
        outcome = await asked({"url": f"{url}/?a=1", "params": {"b": "x y", "c": [1, True], "d": "&="}})
    assert outcome.result["json"]["path"] == "/?a=1&b=x+y&c=1&c=true&d=%26%3D"


async def test_json_is_sent_as_json_and_a_body_as_text() -> None:
    async with serving(echo) as url:
        as_json = (await asked({"url": url, "method": "POST", "json": {"n": [1, None]}})).result["json"]
        as_text = (await asked({"url": url, "method": "PUT", "body": "hällo"})).result["json"]
        as_null = (await asked({"url": url, "method": "POST", "json": None})).result["json"]
    assert (as_json["body"], as_json["headers"]["content-type"]) == ('{"n":[1,null]}', "application/json")
    assert (as_text["body"], as_text["headers"]["content-type"]) == ("hällo", "text/plain; charset=utf-8")
    assert as_null["body"] == "null"


async def test_trace_and_idempotency_key_go_along_unless_the_payload_has_its_own() -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with serving(echo) as url:
        post = (await asked({"url": url, "method": "POST"}, traceparent=trace)).result["json"]["headers"]
        get = (await asked({"url": url}, traceparent=trace)).result["json"]["headers"]
        own = (await asked({"url": url, "method": "POST", "headers": {"idempotency-key": "mine"}})).result["json"]
    assert (post["traceparent"], post["idempotency-key"]) == (trace, "00-test:step")
    assert (get["traceparent"], "idempotency-key" in get) == (trace, False)
    assert own["headers"]["idempotency-key"] == "mine"


@pytest.mark.parametrize("body", [b"<p>hello</p>", b"", b'{"broken'])
async def test_what_is_no_json_is_text(body: bytes) -> None:
    content_type = "application/json" if body.startswith(b"{") else "text/html"
    async with serving(answering(body=body, content_type=content_type)) as url:
        outcome = await asked({"url": url})
    assert outcome.result["body"] == body.decode()
    assert "json" not in outcome.result


async def test_text_is_read_in_the_charset_that_the_answer_names() -> None:
    headers = {"Content-Type": "text/plain; charset=latin-1"}
    async with serving(answering(body="hällo".encode("latin-1"), headers=headers)) as url:
        assert (await asked({"url": url})).result["body"] == "hällo"
    headers = {"Content-Type": "text/plain; charset=no-such"}
    async with serving(answering(body=b"plain", headers=headers)) as url:
        assert (await asked({"url": url})).result["body"] == "plain"


async def test_cookies_are_not_handed_on() -> None:
    async with serving(answering(headers={"Set-Cookie": "session=secret", "X-Kept": "yes"})) as url:
        headers = (await asked({"url": url})).result["headers"]
    assert headers["x-kept"] == "yes"
    assert "secret" not in str(headers)


@pytest.mark.parametrize("status", [199 + 1, 204, 299])
async def test_statuses_from_200_to_299_are_successes(status: int) -> None:
    async with serving(answering(status)) as url:
        assert (await asked({"url": url})).result["status"] == status


@pytest.mark.parametrize("status", [300, 304, 404, 418, 500, 503])
async def test_other_statuses_fail_under_their_number_and_may_be_tried_again(status: int) -> None:
    async with serving(answering(status, body=b"" if status == 304 else b"too busy")) as url:
        outcome = await asked({"url": url})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == (f"http.{status}", True)
    assert outcome.error.message.endswith("too busy" if status != 304 else f"answered {status}: ")


async def test_expected_statuses_are_the_only_successes() -> None:
    async with serving(answering(404)) as url:
        assert (await asked({"url": url, "expect": [200, 404]})).result["status"] == 404
    async with serving(answering(200)) as url:
        assert error_type(await asked({"url": url, "expect": [404]})) == "http.200"


async def test_nobody_there_is_a_connection_error() -> None:
    async with serving(echo) as url:
        pass
    assert error_type(await asked({"url": url})) == "http.connection"


async def test_a_broken_connection_is_a_connection_error() -> None:
    async def breaking(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with serving(breaking) as url:
        assert error_type(await asked({"url": url, "method": "POST"})) == "http.connection"


async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    async def silent(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(silent) as url:
        outcome = await asked({"url": url, "timeout": "50ms"})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == ("http.timeout", "127.0.0.1 did not answer within 50ms")


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_over_the_bound_is_not_read_to_its_end(announced: bool) -> None:
    async def large(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        if announced:
            response.content_length = 1_000_000
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 10_000)
        return response

    async with serving(large) as url:
        outcome = await asked({"url": url})
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == ("http.too_large", False)
    assert "more than 10000 bytes" in outcome.error.message


async def test_what_is_packed_small_is_bounded_as_it_unfolds() -> None:
    body = gzip.compress(b"x" * 1_000_000)
    async with serving(answering(body=body, headers={"Content-Encoding": "gzip"})) as url:
        assert error_type(await asked({"url": url})) == "http.too_large"


async def test_a_head_of_something_large_has_no_body_to_be_bounded() -> None:
    async with serving(answering(body=b"x" * 50_000)) as url:
        assert (await asked({"url": url, "method": "HEAD"})).result["body"] == ""


async def test_a_get_follows_redirects_and_a_post_does_not() -> None:
    async def redirecting(request: web.BaseRequest) -> web.Response:
        if request.rel_url.path == "/here":
            return web.Response(status=302, headers={"Location": "/there?x=1"})
        return web.Response(text=request.rel_url.raw_path_qs)

    async with serving(redirecting) as url:
        assert (await asked({"url": f"{url}/here"})).result["body"] == "/there?x=1"
        assert error_type(await asked({"url": f"{url}/here", "method": "POST"})) == "http.302"


async def test_redirects_without_an_end_are_given_up() -> None:
    async with serving(answering(302, headers={"Location": "/"})) as url:
        assert error_type(await asked({"url": url})) == "http.connection"


async def test_a_redirect_to_another_host_does_not_carry_credentials() -> None:
    async with serving(echo) as other:

        async def redirecting(request: web.BaseRequest) -> web.Response:
            return web.Response(status=302, headers={"Location": other})

        async with serving(redirecting) as url:
            outcome = await asked({"url": url, "headers": {"Authorization": "Bearer secret", "X-Own": "kept"}})
    headers = outcome.result["json"]["headers"]
    assert (headers.get("authorization"), headers["x-own"]) == (None, "kept")


async def test_only_allowed_hosts_are_asked_also_after_a_redirect() -> None:
    async with serving(answering(302, headers={"Location": "http://localhost:1/"})) as url:
        refused = await asked({"url": "http://metadata.internal/"}, allow=("127.0.0.*", "*.example.com"))
        redirected = await asked({"url": url}, allow=("127.0.0.*",))
    assert refused.error is not None
    assert (refused.error.type, refused.retryable) == ("http.not_allowed", False)
    assert "metadata.internal is not among" in refused.error.message
    assert error_type(redirected) == "http.not_allowed"


async def test_a_redirect_can_not_leave_http() -> None:
    async with serving(answering(302, headers={"Location": "file:///etc/passwd"})) as url:
        assert error_type(await asked({"url": url})) == "payload.invalid"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (None, "missing required field url"),
        ({"url": "ftp://host/"}, "allowed: http and https addresses"),
        ({"url": "file:///etc/passwd"}, "allowed: http and https addresses"),
        ({"url": "no address"}, "allowed: http and https addresses"),
        ({"url": "http://[broken"}, "url is"),
        ({"url": "http://h", "method": "FETCH"}, "FETCH"),
        ({"url": "http://h", "metod": "GET"}, "did you mean method?"),
        ({"url": "http://h", "json": 1, "body": "x"}, "both json and body"),
        ({"url": "http://h", "timeout": "soon"}, "timeout: the duration is 'soon'"),
        ({"url": "http://h", "timeout": "0s"}, "timeout is 0"),
        ({"url": "http://127.0.0.1:1", "headers": {"x": "a\r\nInjected: b"}}, "line breaks"),
    ],
)
async def test_a_payload_that_does_not_fit_fails_for_good_with_what_is_allowed(payload: Any, words: str) -> None:
    outcome = await asked(payload)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == ("payload.invalid", False)
    assert words in outcome.error.message
