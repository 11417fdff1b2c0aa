"""Which calls are sent again, when, and what is made of the answer then; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
from leasehold.claim import (
    ClaimClient,
    ClaimError,
    LeaseLost,
    OutcomeUnknown,
    StartItem,
    StepReport,
    Unavailable,
)
from leasehold.claim.transport import Answer, NoAnswer, NotSent

from tests.kit.virtual_time import run_virtual

from .scripted import Heard, Reply, Script, ScriptedExchange, problem, said
from .test_client import ACKNOWLEDGED, VIEW

Ask = Callable[[ClaimClient], Coroutine[Any, Any, Any]]

STARTED = said({"instance_id": "00-a", "version": 1, "status": "running"}, 201)
AWAY = problem(503, "unavailable", "lane 02 has no owner")
LOST = problem(409, "lease-lost", "nobody holds the step", token_held=0)
SAFE_TO_REPEAT: dict[str, tuple[Ask, Answer]] = {
    "claim": (lambda c: c.claim("work"), said({"steps": []})),
    "complete": (lambda c: c.complete("s~a~1"), ACKNOWLEDGED),
    "fail": (lambda c: c.fail("s~a~1", "boom"), ACKNOWLEDGED),
    "heartbeat": (lambda c: c.heartbeat("s~a~1"), said({"lease_ttl_ms": 1})),
    "release": (lambda c: c.release("s~a~1"), ACKNOWLEDGED),
    "report": (lambda c: c.report([StepReport("s", "release")]), said({"results": [{"step_id": "s", "code": 200}]})),
    "keyed start": (lambda c: c.start("w", idempotency_key="k"), STARTED),
    "keyed starts": (
        lambda c: c.start_many([StartItem(workflow="w", idempotency_key="k")]),
        said({"results": [{"code": 201}]}),
    ),
    "instance": (lambda c: c.instance("00-a"), said(VIEW)),
    "approve of a step": (lambda c: c.approve("00-a", step="act"), said(VIEW)),
    "reject of a step": (lambda c: c.reject("00-a", step="act"), said(VIEW)),
    "cancel": (lambda c: c.cancel("00-a"), said(VIEW)),
    "put": (
        lambda c: c.put_definition("w", "name: w"),
        said({"name": "w", "version": 1, "created": True, "active": True}),
    ),
}
NOT_SAFE: dict[str, tuple[Ask, Answer]] = {
    "start": (lambda c: c.start("w"), STARTED),
    "starts, one without a key": (
        lambda c: c.start_many([StartItem(workflow="w", idempotency_key="k"), StartItem(workflow="w")]),
        said({"results": [{"code": 201}, {"code": 201}]}),
    ),
    "approve of any step": (lambda c: c.approve("00-a"), said(VIEW)),
    "reject of any step": (lambda c: c.reject("00-a"), said(VIEW)),
}
UNKNOWN: list[Reply] = [
    NoAnswer("cut"),
    problem(503, "outcome-unknown"),
    problem(500, "internal-error"),
    Answer(502, b"bad gateway"),
    Answer(503, b"a proxy's page"),
    Answer(504, b""),
]
NOT_DONE: list[Reply] = [
    NotSent("refused"),
    AWAY,
    problem(429, "quota-exceeded", retry_after_s=0.5),
    problem(408, "request-timeout"),
    Answer(429, b"slow down"),
]


def ask_all(ask: Ask, *scripts: Script, **options: Any) -> tuple[Any, float]:
    """What the call returns over these servers, and how long it took, in seconds."""

    async def main() -> tuple[Any, float]:
        names = [f"server{number}" for number in range(len(scripts))]
        exchange = ScriptedExchange(**dict(zip(names, scripts, strict=True)))
        urls = [f"http://{name}" for name in names]
        async with ClaimClient(urls, exchange=exchange, random=Random(3), **options) as client:
            return await ask(client), asyncio.get_running_loop().time()

    return run_virtual(main())


@pytest.mark.parametrize("reply", UNKNOWN + NOT_DONE)
@pytest.mark.parametrize("name", SAFE_TO_REPEAT)
def test_a_call_that_may_be_repeated_is_sent_until_it_is_answered(name: str, reply: Reply) -> None:
    ask, good = SAFE_TO_REPEAT[name]
    script = Script(reply, reply, good)
    ask_all(ask, script)
    assert len(script.heard) == 3


@pytest.mark.parametrize("reply", NOT_DONE)
@pytest.mark.parametrize("name", NOT_SAFE)
def test_any_call_is_repeated_when_nothing_was_done(name: str, reply: Reply) -> None:
    ask, good = NOT_SAFE[name]
    script = Script(reply, reply, good)
    ask_all(ask, script)
    assert len(script.heard) == 3


@pytest.mark.parametrize("reply", UNKNOWN)
@pytest.mark.parametrize("name", NOT_SAFE)
def test_a_call_that_must_not_be_repeated_says_that_its_outcome_is_unknown(name: str, reply: Reply) -> None:
    ask, good = NOT_SAFE[name]
    script = Script(reply, good)
    with pytest.raises(OutcomeUnknown):
        ask_all(ask, script)
    assert len(script.heard) == 1


def test_the_sendings_of_one_claim_carry_one_request_id() -> None:
    first, second = Script(NoAnswer("cut")), Script(AWAY, said({"steps": []}))
    ask_all(lambda c: c.claim("work"), first, second)
    heard = first.heard + second.heard
    assert len(heard) >= 3
    assert len({request.query["request_id"] for request in heard}) == 1


def test_a_lost_lease_after_an_unknown_outcome_says_that_the_report_may_stand() -> None:
    with pytest.raises(LeaseLost) as caught:
        ask_all(lambda c: c.complete("s~a~1"), Script(NoAnswer("cut"), LOST))
    assert caught.value.after_unknown


def test_a_lost_lease_after_sendings_that_did_nothing_says_that_the_report_does_not_stand() -> None:
    with pytest.raises(LeaseLost) as caught:
        ask_all(lambda c: c.complete("s~a~1"), Script(NotSent("refused"), AWAY, LOST))
    assert not caught.value.after_unknown


def test_giving_up_says_whether_the_call_may_have_taken_effect() -> None:
    with pytest.raises(Unavailable, match="lane 02 has no owner") as caught:
        ask_all(lambda c: c.complete("s~a~1"), Script(AWAY), give_up_after_s=5.0)
    assert caught.value.problem is not None
    with pytest.raises(OutcomeUnknown, match="may or may not"):
        ask_all(lambda c: c.complete("s~a~1"), Script(NoAnswer("cut"), AWAY), give_up_after_s=5.0)


def test_a_read_has_no_effect_that_could_be_unknown() -> None:
    with pytest.raises(Unavailable):
        ask_all(lambda c: c.instance("00-a"), Script(NoAnswer("cut")), give_up_after_s=5.0)


def test_a_call_gives_up_in_time_and_not_before() -> None:
    def measured(client: ClaimClient) -> Coroutine[Any, Any, float]:
        async def ask() -> float:
            with pytest.raises(ClaimError):
                await client.instance("00-a")
            return asyncio.get_running_loop().time()

        return ask()

    took_s, _ = ask_all(measured, Script(NotSent("refused")), give_up_after_s=30.0)
    assert 25.0 <= took_s <= 30.0


def test_retry_after_is_waited_for_and_the_document_counts_before_the_header() -> None:
    busy = problem(429, "quota-exceeded", retry_after_s=7.0)
    _, took_s = ask_all(lambda c: c.start("w"), Script(Answer(429, busy.body, retry_after="60"), STARTED))
    assert 7.0 <= took_s <= 8.75
    _, took_s = ask_all(lambda c: c.start("w"), Script(Answer(429, b"", retry_after="20"), STARTED))
    assert 20.0 <= took_s <= 25.0


def test_a_rest_longer_than_the_call_may_last_is_not_waited_for() -> None:
    async def main() -> float:
        exchange = ScriptedExchange(a=Script(problem(429, "quota-exceeded", retry_after_s=3_600.0)))
        async with ClaimClient("http://a", exchange=exchange) as client:
            with pytest.raises(Unavailable):
                await client.start("w")
            return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0.0


def test_another_server_is_asked_at_once_and_stays_in_use() -> None:
    first, second = Script(AWAY), Script(said(VIEW))

    async def ask(client: ClaimClient) -> None:
        for _ in range(3):
            await client.instance("00-a")

    _, took_s = ask_all(ask, first, second)
    assert (took_s, len(first.heard), len(second.heard)) == (0.0, 1, 3)


def test_an_answer_of_any_kind_ends_the_count_of_failures() -> None:
    async def ask(client: ClaimClient) -> list[float]:
        took_s = []
        for _ in range(20):
            began_s = asyncio.get_running_loop().time()
            await client.instance("00-a")
            took_s.append(asyncio.get_running_loop().time() - began_s)
        return took_s

    replies: list[Reply] = [NotSent("refused"), said(VIEW)]
    took_s, _ = ask_all(ask, Script(*replies * 20))
    assert max(took_s) <= 0.05


def test_a_claim_may_wait_for_as_long_as_it_asked_to() -> None:
    async def slow(heard: Heard) -> Answer:
        await asyncio.sleep(30)
        return said({"steps": []})

    limits: list[float] = []

    class Measured(ScriptedExchange):
        async def __call__(self, request: Any, within_s: float) -> Answer:
            limits.append(within_s)
            return await super().__call__(request, within_s)

    async def main() -> None:
        async with ClaimClient("http://a", exchange=Measured(a=Script(slow)), answer_within_s=4.0) as client:
            await client.claim("work", wait="30s")
            await client.instance("00-a")

    with pytest.raises(ClaimError):
        run_virtual(main())
    assert limits[:2] == [34.0, 4.0]


def test_leases_count_from_the_first_sending_that_may_have_got_them() -> None:
    async def slow(heard: Heard) -> Answer:
        await asyncio.sleep(2)
        return said({"steps": []})

    async def main() -> tuple[float, float]:
        exchange = ScriptedExchange(a=Script(AWAY, NoAnswer("cut"), slow))
        async with ClaimClient("http://a", exchange=exchange, random=Random(1)) as client:
            unanswered = await client.claim_timed("work")
        exchange = ScriptedExchange(a=Script(AWAY, slow))
        async with ClaimClient("http://a", exchange=exchange, random=Random(1)) as client:
            began_s = asyncio.get_running_loop().time()
            not_done = await client.claim_timed("work")
            ended_s = asyncio.get_running_loop().time()
        assert not_done.since_s == pytest.approx(ended_s - 2.0)
        assert began_s < not_done.since_s
        return unanswered.since_s, began_s

    since_s, ended_s = run_virtual(main())
    assert 0.0 < since_s < ended_s - 2.0


def test_an_instance_is_waited_for_until_it_has_ended() -> None:
    ended = said({**VIEW, "status": "failed"})
    view, took_s = ask_all(lambda c: c.wait_for("00-abc"), Script(*[said(VIEW)] * 30, ended))
    assert view.status == "failed"
    assert 30.0 <= took_s <= 60.0


def test_waiting_for_an_instance_has_an_end_of_its_own() -> None:
    with pytest.raises(TimeoutError, match="instance 00-abc has not ended within 9 s"):
        ask_all(lambda c: c.wait_for("00-abc", within_s=9), Script(said(VIEW)))
