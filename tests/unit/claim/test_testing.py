"""Inline mode, and with it what a function sees of its step."""

import asyncio
import threading
from typing import Any

import pytest
from leasehold.claim import StepCancelled, StepContext, StepFailed, Worker
from leasehold.claim.testing import claimed_step, run_step, run_step_async
from leasehold.claim.wire import Call, ErrorInfo, Usage

worker = Worker()


@worker.capability("greet")
async def greet(context: StepContext) -> dict[str, str]:
    return {"text": f"Hello, {context.payload['name']}"}


@worker.capability("add")
def add(context: StepContext) -> int:
    return sum(context.payload)


def test_a_registered_coroutine_function_runs_without_a_server() -> None:
    assert run_step(worker, "greet", {"name": "Ada"}).result == {"text": "Hello, Ada"}


def test_a_registered_plain_function_runs_in_a_thread_of_its_own() -> None:
    assert run_step(worker, "add", (1, 2, 3)).result == 6
    threads: list[str] = []
    run_step(lambda context: threads.append(threading.current_thread().name), "any")
    assert threads == ["step 00-test~step~1"]


async def test_a_test_may_be_a_coroutine_itself() -> None:
    assert (await run_step_async(worker, "add", [2])).result == 2


def test_a_decorated_function_can_still_be_called() -> None:
    assert add(StepContext(claimed_step(payload=[1, 1]))) == 2


def test_a_capability_without_a_function_is_a_mistake_of_the_test() -> None:
    with pytest.raises(KeyError, match="nothing"):
        run_step(worker, "nothing")


def test_results_are_seen_as_the_workflow_sees_them() -> None:
    assert run_step(lambda context: {"pair": (1, 2), 3: {"x"}}, "any").result == {"pair": [1, 2], "3": ["x"]}


def test_payloads_are_seen_as_the_function_will_see_them() -> None:
    assert run_step(lambda context: type(context.payload).__name__, "any", (1, 2)).result == "list"


@pytest.mark.parametrize(
    ("error", "seen", "retryable"),
    [
        (ValueError("bad host"), ErrorInfo("python.ValueError", "bad host"), True),
        (StepFailed("http.404", "gone", retryable=False), ErrorInfo("http.404", "gone"), False),
        (StepFailed("x" * 300, "y" * 9_000), ErrorInfo("x" * 256, "y" * 8_192), True),
        (StepFailed(""), ErrorInfo("failed"), True),
        (ValueError("lone \ud800"), ErrorInfo("python.ValueError", "lone ?"), True),
        (StopIteration(1), ErrorInfo("python.RuntimeError", "the function raised StopIteration(1)"), True),
        (SystemExit(3), ErrorInfo("python.SystemExit", "the function asked the process to exit: 3"), True),
    ],
)
def test_what_a_function_raises_is_its_error(error: BaseException, seen: ErrorInfo, retryable: bool) -> None:
    def broken(context: StepContext) -> None:
        raise error

    outcome = run_step(broken, "any")
    assert (outcome.error, outcome.retryable, outcome.result) == (seen, retryable, None)


@pytest.mark.parametrize("result", [object(), "\ud800", {(1, 2): 3}])
def test_a_result_that_is_no_json_is_an_error(result: Any) -> None:
    outcome = run_step(lambda context: result, "any")
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == ("result.invalid", False)


def test_a_result_that_holds_itself_is_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    outcome = run_step(lambda context: endless, "any")
    assert outcome.error is not None
    assert outcome.error.type == "result.invalid"


def test_what_it_says_on_the_way_is_kept() -> None:
    def busy(context: StepContext) -> str:
        context.progress(50, "half")
        context.save_checkpoint({"page": 1})
        context.save_checkpoint({"page": 2})
        context.usage(llm_calls=2, cost=0.5)
        context.record_call("ask", output={"n": 1}, usage=Usage(llm_tokens=7))
        return f"{context.attempt} {context.token} {context.checkpoint} {context.idempotency_key}"

    outcome = run_step(busy, "any", fields={"attempt": 3, "token": 9, "checkpoint": "c"})
    assert outcome.result == "3 9 c 00-test:step"
    assert (outcome.progress, outcome.message, outcome.checkpoints) == (50, "half", [{"page": 1}, {"page": 2}])
    assert outcome.usage == Usage(llm_calls=2, cost=0.5)
    assert outcome.calls == [Call("ask", output={"n": 1}, usage=Usage(llm_tokens=7), number=1)]


def test_a_cancelled_coroutine_is_interrupted_where_it_waits() -> None:
    cleaned: list[str | None] = []

    async def long(context: StepContext) -> None:
        context.save_checkpoint(1)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(context.cancel_reason)

    assert run_step(long, "any", cancel_at_checkpoint=True).cancelled
    assert cleaned == ["the test cancels it"]


def test_a_cancelled_thread_sees_it_and_ends_by_itself() -> None:
    def long(context: StepContext) -> str:
        context.save_checkpoint(1)
        while True:
            context.raise_if_cancelled()

    outcome = run_step(long, "any", cancel_at_checkpoint=True)
    assert (outcome.cancelled, outcome.error) == (True, None)


def test_raising_if_cancelled_does_nothing_before() -> None:
    context = StepContext(claimed_step())
    context.raise_if_cancelled()
    context.cancel("first")
    context.cancel("second")
    with pytest.raises(StepCancelled, match="first"):
        context.raise_if_cancelled()


@pytest.mark.parametrize(
    "say",
    [
        lambda context: context.progress(101),
        lambda context: context.progress(float("nan")),
        lambda context: context.usage(llm_calls=-1),
        lambda context: context.usage(cost=float("nan")),
        lambda context: context.save_checkpoint(None),
    ],
)
def test_news_that_a_server_would_refuse_is_refused_where_it_is_said(say: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed|must not be negative"):
        say(StepContext(claimed_step()))


def test_a_plain_function_may_return_an_awaitable() -> None:
    async def later() -> int:
        return 7

    assert run_step(lambda context: later(), "any").result == 7


def test_an_object_with_a_coroutine_as_its_call_is_a_function() -> None:
    class Executor:
        async def __call__(self, context: StepContext) -> str:
            return threading.current_thread().name

    assert run_step(Executor(), "any").result == threading.main_thread().name
