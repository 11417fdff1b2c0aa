"""`ClaimClient` over real HTTP: what it sends, and what it makes of the answers."""

from datetime import timedelta
from typing import Any

import pytest
from leasehold.claim import ClaimClient, ClaimedStep, LeaseLost, NotFound, Refused, StartItem, StepReport, WrongAnswer
from leasehold.claim.testing import claimed_step
from leasehold.claim.transport import Answer
from leasehold.claim.wire import Call, CompleteBody, HeartbeatAnswer, Usage

from .scripted import Heard, Script, problem, said, served

STEP_ID = "00-abc~each-host:17.scan~4"
STEP = {
    "step_id": STEP_ID,
    "workflow_id": "00-abc",
    "workflow_name": "scan",
    "workflow_version": 2,
    "step_name": "scan",
    "run_path": "each-host[17].scan",
    "capability": "scan",
    "attempt": 1,
    "token": 4,
    "lease_ttl_ms": 30_000,
    "tenant": "acme",
    "space": "default",
    "with": {"model": "large"},
    "a_field_of_a_newer_server": True,
}
VIEW = {
    "instance_id": "00-abc",
    "workflow": "scan",
    "version": 2,
    "status": "running",
    "tenant": "acme",
    "space": "default",
    "created_at_ms": 1,
    "steps": [],
}
ACKNOWLEDGED = said({"step_id": STEP_ID, "status": "succeeded"})


async def heard_of(answer: Answer, ask: Any, **options: Any) -> tuple[Heard, Any]:
    """What the server heard of one call, and what the call returned."""
    script = Script(answer)
    async with served(script) as url, ClaimClient(url, **options) as client:
        returned = await ask(client)
    (heard,) = script.heard
    return heard, returned


async def refused_with(answer: Answer, ask: Any) -> BaseException:
    async with served(Script(answer)) as url, ClaimClient(url) as client:
        with pytest.raises(Exception) as caught:  # noqa: PT011  the caller looks at it
            await ask(client)
    return caught.value


async def test_a_claim_names_what_it_wants_and_itself() -> None:
    heard, steps = await heard_of(
        said({"steps": [STEP]}),
        lambda client: client.claim(["scan", "render"], max=5, lease="1m", wait=timedelta(seconds=2.5)),
        worker="host-7",
    )
    assert (heard.method, heard.path) == ("POST", "/_workflows/_steps/_claim")
    request_id = heard.query.pop("request_id")
    assert len(request_id) == 32
    assert heard.query == {
        "capability": "scan,render",
        "max": "5",
        "lease": "1m",
        "wait": "2500ms",
        "worker": "host-7",
    }
    assert [(type(step), step.step_id, step.with_) for step in steps] == [(ClaimedStep, STEP_ID, {"model": "large"})]


async def test_each_claim_has_a_request_id_of_its_own() -> None:
    script = Script(said({"steps": []}))
    async with served(script) as url, ClaimClient(url) as client:
        await client.claim("scan")
        await client.claim("scan")
    assert len({heard.query["request_id"] for heard in script.heard}) == 2


async def test_a_claim_that_nothing_came_for_is_an_empty_list() -> None:
    for answer in (Answer(204, b""), said({"steps": []})):
        _, steps = await heard_of(answer, lambda client: client.claim("scan"))
        assert steps == []


async def test_a_completion_carries_result_usage_and_calls_under_the_lease() -> None:
    heard, answer = await heard_of(
        ACKNOWLEDGED,
        lambda client: client.complete(
            claimed_step(step_id=STEP_ID), {"n": 1}, usage=Usage(llm_calls=1), calls=[Call("ask", input="x")]
        ),
    )
    assert heard.path == f"/_workflows/_steps/{STEP_ID}/_complete"
    assert heard.body == {"result": {"n": 1}, "usage": {"llm_calls": 1}, "calls": [{"name": "ask", "input": "x"}]}
    assert heard.headers["Content-Type"] == "application/json"
    assert answer.status == "succeeded"


async def test_a_failure_carries_type_message_and_whether_to_try_again() -> None:
    heard, _ = await heard_of(ACKNOWLEDGED, lambda client: client.fail(STEP_ID, "http.503", "away", retryable=False))
    assert heard.path.endswith("/_fail")
    assert heard.body == {"error": {"type": "http.503", "message": "away"}, "retryable": False}


async def test_a_heartbeat_reports_and_hears_of_cancellation() -> None:
    heard, answer = await heard_of(
        said({"lease_ttl_ms": 30_000, "cancel": True, "reason": "the instance is cancelled"}),
        lambda client: client.heartbeat(
            STEP_ID, progress=40, message="half way", checkpoint={"page": 3}, calls=[Call("ask", number=1)]
        ),
    )
    assert heard.path.endswith("/_heartbeat")
    assert heard.body == {
        "progress": 40,
        "message": "half way",
        "checkpoint": {"page": 3},
        "calls": [{"name": "ask", "number": 1}],
    }
    assert answer == HeartbeatAnswer(30_000, True, "the instance is cancelled")


INSTANCE = {
    "instance_id": "00-1", "workflow": "w", "version": 1, "status": "running", "tenant": "t", "space": "s",
    "created_at_ms": 1, "steps": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "path", "body"),
    [
        (lambda client: client.signal("00-1", "closed", {"n": 1}), "_signal/closed", {"payload": {"n": 1}}),
        (lambda client: client.pause("00-1", reason="look"), "_pause", {"reason": "look"}),
        (lambda client: client.resume("00-1"), "_resume", {}),
        (lambda client: client.skip("00-1", "a[1].b"), "_skip", {}),
        (lambda client: client.terminate("00-1", reason="now"), "_terminate", {"reason": "now"}),
        (
            lambda client: client.retry("00-1", from_start=True, params={"n": 2}),
            "_retry",
            {"from_start": True, "params": {"n": 2}},
        ),
    ],
    ids=["signal", "pause", "resume", "skip", "terminate", "retry"],
)
async def test_orders_go_to_the_instance(call: Any, path: str, body: dict[str, Any]) -> None:
    heard, view = await heard_of(said(INSTANCE), call)
    assert heard.path.partition("?")[0] == f"/_workflows/_instances/00-1/{path}"
    assert heard.body == body
    assert view.status == "running"


async def test_a_release_has_no_body() -> None:
    heard, _ = await heard_of(ACKNOWLEDGED, lambda client: client.release(STEP_ID))
    assert (heard.path, heard.body) == (f"/_workflows/_steps/{STEP_ID}/_release", None)


async def test_many_reports_get_one_result_each_and_refused_ones_do_not_raise() -> None:
    lost = {"type": "urn:leasehold:problem:lease-lost", "title": "", "status": 409, "token_held": 5}
    heard, results = await heard_of(
        said(
            {
                "results": [
                    {"step_id": "a", "code": 200, "status": "succeeded"},
                    {"step_id": "b", "code": 409, "problem": lost},
                ]
            }
        ),
        lambda client: client.report(
            [StepReport("a", "complete", complete=CompleteBody(1)), StepReport("b", "release")]
        ),
    )
    assert heard.path == "/_workflows/_steps/_bulk"
    assert heard.body == {
        "reports": [
            {"step_id": "a", "action": "complete", "complete": {"result": 1}},
            {"step_id": "b", "action": "release"},
        ]
    }
    assert [(result.code, result.problem and result.problem.token_held) for result in results] == [
        (200, None),
        (409, 5),
    ]


async def test_fewer_results_than_reports_are_no_answer_of_this_server() -> None:
    error = await refused_with(said({"results": []}), lambda client: client.report([StepReport("a", "release")]))
    assert isinstance(error, WrongAnswer)


async def test_a_start_carries_params_key_and_trace() -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    heard, answer = await heard_of(
        said({"instance_id": "00-abc", "version": 2, "status": "running"}, 201),
        lambda client: client.start(
            "scan", {"host": "x"}, labels={"team": "soc"}, version=2, idempotency_key="k-1", traceparent=trace
        ),
    )
    assert heard.path == "/_workflows/scan/_start"
    assert heard.body == {"params": {"host": "x"}, "labels": {"team": "soc"}, "version": 2}
    assert (heard.headers["Idempotency-Key"], heard.headers["traceparent"]) == ("k-1", trace)
    assert answer.instance_id == "00-abc"


async def test_many_starts_go_in_one_request() -> None:
    heard, results = await heard_of(
        said({"results": [{"code": 201, "instance_id": "00-abc"}]}),
        lambda client: client.start_many([StartItem(workflow="scan", params={"n": 1}, idempotency_key="k")]),
    )
    assert heard.body == {"starts": [{"workflow": "scan", "params": {"n": 1}, "idempotency_key": "k"}]}
    assert results[0].code == 201


@pytest.mark.parametrize(
    ("ask", "path", "query", "body"),
    [
        (lambda c: c.approve("00-abc", step="act", comment="fine"), "_approve", {"step": "act"}, {"comment": "fine"}),
        (lambda c: c.reject("00-abc", form={"why": "no"}), "_reject", {}, {"form": {"why": "no"}}),
        (lambda c: c.cancel("00-abc", reason="a mistake"), "_cancel", {}, {"reason": "a mistake"}),
    ],
)
async def test_steering_answers_the_instance_after_the_change(ask: Any, path: str, query: Any, body: Any) -> None:
    heard, view = await heard_of(said(VIEW), ask)
    assert (heard.path, heard.query, heard.body) == (f"/_workflows/_instances/00-abc/{path}", query, body)
    assert view.status == "running"


async def test_a_definition_is_sent_as_yaml() -> None:
    stored = {"name": "scan", "version": 1, "created": True, "active": True}
    heard, answer = await heard_of(said(stored, 201), lambda client: client.put_definition("scan", "name: scan\n"))
    assert (heard.method, heard.path, heard.body) == ("PUT", "/_workflows/scan", "name: scan\n")
    assert heard.headers["Content-Type"] == "application/yaml"
    assert answer.created


async def test_tenant_space_and_token_go_with_every_request() -> None:
    heard, _ = await heard_of(
        said(VIEW), lambda client: client.instance("00-abc"), tenant="acme", space="ops", token="secret"
    )
    names = ("X-Leasehold-Tenant", "X-Leasehold-Space", "Authorization")
    assert [heard.headers[name] for name in names] == ["acme", "ops", "Bearer secret"]


@pytest.mark.parametrize(
    ("name", "path"), [("a/b?c#d", "a%2Fb%3Fc%23d"), ("..", "%2E%2E"), ("ä b", "%C3%A4%20b"), ("%2F", "%252F")]
)
async def test_a_name_stays_one_segment_of_the_path(name: str, path: str) -> None:
    heard, _ = await heard_of(said(VIEW), lambda client: client.instance(name))
    assert heard.path == f"/_workflows/_instances/{path}"


async def test_a_lost_lease_is_told_with_the_token_that_holds() -> None:
    error = await refused_with(
        problem(409, "lease-lost", "token 4 does not hold", token_held=7), lambda client: client.complete(STEP_ID)
    )
    assert isinstance(error, LeaseLost)
    assert (error.token_held, error.after_unknown, str(error)) == (7, False, "token 4 does not hold")


async def test_what_is_not_there_is_not_found() -> None:
    error = await refused_with(problem(404, "not-found"), lambda client: client.instance("x"))
    assert isinstance(error, NotFound)


async def test_other_refusals_keep_the_servers_document() -> None:
    violations = [{"path": "params.host", "message": "is missing"}]
    error = await refused_with(
        problem(422, "unprocessable", "the params do not fit", violations=violations),
        lambda client: client.start("scan"),
    )
    assert isinstance(error, Refused)
    assert not isinstance(error, (LeaseLost, NotFound))
    assert (error.kind, error.problem.violations[0].path) == ("unprocessable", "params.host")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b"<html>hello</html>"), "is not a InstanceView"),
        (said({"other": 1}), "is not a InstanceView"),
        (Answer(404, b"nothing here"), "without a problem document"),
        (Answer(302, b"", location="https://login.example"), "name the address that answers itself"),
    ],
)
async def test_what_does_not_answer_as_a_server_of_ours_is_told_apart(answer: Answer, words: str) -> None:
    error = await refused_with(answer, lambda client: client.instance("x"))
    assert isinstance(error, WrongAnswer)
    assert words in str(error)


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ("", "at least one is needed"),
        ("localhost:8080", "write http://host:port"),
        ("ftp://host", "write http://host:port"),
        ("http://host/?a=b", "write http://host:port"),
        ("http://user:secret@host", "pass a token instead"),
    ],
)
def test_an_address_that_can_not_be_one_is_refused_without_showing_secrets(servers: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ClaimClient(servers)
    assert "secret" not in str(caught.value)


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await ClaimClient().instance("x")


async def test_a_dead_server_is_passed_over() -> None:
    async with served(Script(said(VIEW))) as gone:
        pass
    script = Script(said(VIEW))
    async with served(script) as url, ClaimClient(f"{gone}, {url}/") as client:
        await client.instance("a")
        await client.instance("b")
    assert len(script.heard) == 2


async def test_a_connection_that_breaks_in_the_middle_is_followed_by_another_server() -> None:
    broken, whole = Script(ConnectionResetError()), Script(ACKNOWLEDGED)
    async with served(broken) as first, served(whole) as second, ClaimClient([first, second]) as client:
        await client.complete(STEP_ID, 1)
    assert (len(broken.heard), len(whole.heard)) == (1, 1)
