"""`Worker` with a scheduler in memory, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import pytest
from leasehold.claim import ClaimClient, Refused, StepContext, StepFailed, Worker, WrongAnswer
from leasehold.claim.testing import claimed_step
from leasehold.claim.transport import Answer, NoAnswer

from tests.kit.virtual_time import run_virtual

from .model_scheduler import ModelScheduler
from .scripted import Heard, problem, said

LEASE_S = 3.0
Function = Callable[[StepContext], Awaitable[Any]]


def worker_of(scheduler: ModelScheduler, *servers: str, **options: Any) -> Worker:
    random = Random(5)
    client = ClaimClient(servers or "http://a", exchange=scheduler, random=random, answer_within_s=2.0)
    return Worker(client=client, random=random, **{"lease": "3s", "name": "worker-1", **options})


async def now_s() -> float:
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], bool], within_s: float = 600.0) -> None:
    pause_s = 0.001
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.02, 0.05)


def play(
    function: Function | None,
    story: Callable[[ModelScheduler, Worker], Coroutine[Any, Any, None]],
    **options: Any,
) -> ModelScheduler:
    """Run a worker with one function beside a story, stop it when the story is told; the scheduler, to look at."""

    async def main() -> ModelScheduler:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler, **options)
        if function is not None:
            worker.add("work", function)
        running = asyncio.create_task(worker.run())
        telling = asyncio.create_task(story(scheduler, worker))
        await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
        worker.stop()
        await running
        await telling
        assert asyncio.all_tasks() == {asyncio.current_task()}, "the worker left tasks behind"
        return scheduler

    return run_virtual(main())


def ended(scheduler: ModelScheduler, *names: str) -> Callable[[], bool]:
    return lambda: all(scheduler.steps[name].status in ("succeeded", "failed") for name in names)


async def one_step(scheduler: ModelScheduler, worker: Worker) -> None:
    scheduler.add("a", {"n": 20})
    await until(ended(scheduler, "a"))


async def double(context: StepContext) -> Any:
    return {"n": context.payload["n"] * 2}


def test_what_a_function_returns_is_the_result_of_its_step() -> None:
    step = play(double, one_step).steps["a"]
    assert (step.status, step.result, step.attempt) == ("succeeded", {"n": 40}, 1)


def test_a_claim_carries_the_workers_capabilities_name_lease_and_free_slots() -> None:
    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        await until(lambda: bool(scheduler.heard))

    scheduler = play(double, story, concurrency=7)
    query = scheduler.heard[0].query
    assert {name: query[name] for name in ("capability", "max", "lease", "wait", "worker")} == {
        "capability": "work",
        "max": "7",
        "lease": "3s",
        "wait": "1000ms",
        "worker": "worker-1",
    }


def test_an_exception_fails_the_step_under_its_own_name() -> None:
    async def broken(context: StepContext) -> None:
        raise ValueError("no such host")

    step = play(broken, one_step).steps["a"]
    assert (step.errors, step.retryable) == ([{"type": "python.ValueError", "message": "no such host"}], True)


def test_a_function_may_choose_how_its_step_fails() -> None:
    async def broken(context: StepContext) -> None:
        raise StepFailed("http.404", "gone", retryable=False)

    step = play(broken, one_step).steps["a"]
    assert (step.errors, step.retryable) == ([{"type": "http.404", "message": "gone"}], False)


def test_a_function_that_wants_to_exit_fails_its_step_and_the_worker_goes_on() -> None:
    async def leaving(context: StepContext) -> str:
        if context.payload == "leave":
            raise SystemExit(3)
        return "here"

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.add("a", "leave")
        await until(ended(scheduler, "a"))
        scheduler.add("b", "stay")
        await until(ended(scheduler, "b"))

    scheduler = play(leaving, story)
    assert scheduler.steps["a"].errors[0]["type"] == "python.SystemExit"
    assert scheduler.steps["b"].result == "here"


def test_a_function_that_cancels_itself_fails_its_step() -> None:
    async def odd(context: StepContext) -> None:
        raise asyncio.CancelledError

    assert play(odd, one_step).steps["a"].errors[0]["type"] == "python.CancelledError"


def test_a_result_that_is_no_json_fails_the_step_for_good() -> None:
    async def odd(context: StepContext) -> Any:
        return {"when": object()}

    step = play(odd, one_step).steps["a"]
    assert (step.errors[0]["type"], step.retryable) == ("result.invalid", False)


def test_a_result_that_the_server_does_not_take_fails_the_step_with_the_servers_words() -> None:
    async def large(context: StepContext) -> Any:
        context.record_call("model", output="y" * 20_000)
        return "x" * 20_000

    step = play(large, one_step).steps["a"]
    assert step.errors == [{"type": "result.refused", "message": "the complete has too many bytes"}]
    assert not step.retryable


def test_usage_and_calls_are_reported_with_the_end() -> None:
    async def busy(context: StepContext) -> None:
        context.usage(llm_calls=1, llm_tokens=100)
        context.usage(llm_calls=1, cost=0.5)
        context.record_call("search", input={"q": "x"}, output=[1], duration_ms=12)

    step = play(busy, one_step).steps["a"]
    assert step.usage == {"llm_calls": 2, "llm_tokens": 100, "cost": 0.5}
    assert step.calls == [{"name": "search", "input": {"q": "x"}, "output": [1], "duration_ms": 12, "number": 1}]


def test_calls_go_with_heartbeats_once_each_and_the_rest_with_the_end() -> None:
    async def long(context: StepContext) -> None:
        for n in range(6):
            context.record_call("model", input=n)
            await asyncio.sleep(0.7)
        context.record_call("model", input=6)

    step = play(long, one_step).steps["a"]
    assert [(call["input"], call["number"]) for call in step.calls] == [(n, n + 1) for n in range(7)]
    with_calls = [len(beat["calls"]) for beat in step.beats if beat.get("calls")]
    assert len(with_calls) > 1
    assert sum(with_calls) < 7


def test_many_calls_are_spread_over_heartbeats() -> None:
    context = StepContext(claimed_step())
    for _ in range(5):
        context.record_call("model", output="x" * 60_000)
    sizes = []
    while (news := context.news()).calls:
        sizes.append(len(news.calls))
        context.delivered(news)
    assert sizes == [1, 1, 1, 1, 1]
    assert context.calls_made() == []


def test_a_heartbeat_that_is_refused_for_now_is_followed_by_one_without_calls() -> None:
    context = StepContext(claimed_step())
    context.record_call("model")
    refused = context.news()
    context.not_taken(refused)
    assert (len(refused.calls), context.news().calls) == (1, [])
    assert [call.number for call in context.news().calls] == [1]
    context.delivered(context.news())
    assert context.news().calls == []


def test_heartbeats_keep_the_lease_of_a_long_function() -> None:
    async def long(context: StepContext) -> str:
        await asyncio.sleep(60)
        return "done"

    step = play(long, one_step).steps["a"]
    assert (step.result, step.attempt) == ("done", 1)
    gaps = [after - before for before, after in zip(step.beats_at_s, step.beats_at_s[1:], strict=False)]
    assert len(step.beats_at_s) >= 59
    assert all(gap == pytest.approx(LEASE_S / 3, abs=0.05) for gap in gaps)


def test_a_function_whose_lease_another_one_holds_is_cancelled_and_reports_nothing() -> None:
    cancelled: list[str | None] = []

    async def long(context: StepContext) -> None:
        if context.attempt == 2:
            return
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(context.cancel_reason)

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        step = scheduler.add("a")
        await until(lambda: step.status == "claimed")
        step.status = "ready"
        await until(ended(scheduler, "a"))

    scheduler = play(long, story)
    step = scheduler.steps["a"]
    assert cancelled == ["its lease is lost: token 1 does not hold"]
    assert (step.status, step.attempt, step.errors) == ("succeeded", 2, [])


def test_a_function_is_cancelled_when_its_lease_ends_without_an_answer_counted_from_the_last_sending() -> None:
    ended_at_s: list[float] = []

    async def long(context: StepContext) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended_at_s.append(await now_s())

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        step = scheduler.add("a")
        await until(lambda: len(step.beats_at_s) == 2)
        scheduler.fault = lambda heard: NoAnswer("cut") if heard.path.endswith("_bulk") else None
        await until(lambda: bool(ended_at_s))
        scheduler.fault = lambda heard: None

    scheduler = play(long, story, drain_timeout="0s")
    renewed_at_s = scheduler.steps["a"].beats_at_s[1]
    assert renewed_at_s + LEASE_S - 0.01 <= ended_at_s[0] <= renewed_at_s + LEASE_S


def test_a_heartbeat_that_hangs_at_one_server_is_sent_to_another_in_time() -> None:
    async def long(context: StepContext) -> str:
        await asyncio.sleep(20)
        return "done"

    def first_hangs(heard: Heard) -> Any:
        if heard.server == "a" and heard.path.endswith("_bulk"):
            return 1_000.0
        return None

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.fault = first_hangs
        await one_step(scheduler, worker)

    async def main() -> ModelScheduler:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler, "http://a", "http://b")
        worker.add("work", long)
        running = asyncio.create_task(worker.run())
        await story(scheduler, worker)
        worker.stop()
        await running
        return scheduler

    step = run_virtual(main()).steps["a"]
    assert (step.result, step.attempt) == ("done", 1)


def test_a_server_that_asks_a_step_to_stop_cancels_its_function_with_the_reason() -> None:
    reasons: list[str | None] = []

    async def long(context: StepContext) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            reasons.append(context.cancel_reason)

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        step = scheduler.add("a")
        await until(lambda: step.status == "claimed")
        step.status, step.cancel = "cancelled", "the instance is cancelled"
        began_s = await now_s()
        await until(lambda: bool(reasons))
        assert await now_s() - began_s < LEASE_S / 3 + 0.1

    scheduler = play(long, story)
    assert reasons == ["the instance is cancelled"]
    assert scheduler.bulks("complete") == scheduler.bulks("fail") == []


def test_a_lease_that_may_be_over_on_arrival_is_confirmed_before_its_function_starts() -> None:
    started: list[int] = []

    async def note(context: StepContext) -> None:
        started.append(context.token)

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        # The claim waits 0.9 s at the server, and the step's own lease is shorter than that.
        await until(lambda: bool(scheduler.heard))
        await asyncio.sleep(0.9)
        step = scheduler.add("a", lease_s=0.5)
        await until(ended(scheduler, "a"))
        assert len(step.beats_at_s) == 1

    play(note, story)
    assert started == [1]


def test_a_function_never_starts_under_a_lease_that_was_over_on_arrival() -> None:
    attempts: list[int] = []

    async def note(context: StepContext) -> None:
        attempts.append(context.attempt)

    async def main() -> ModelScheduler:
        scheduler = SlowFirstAnswer()
        worker = worker_of(scheduler)
        worker.add("work", note)
        running = asyncio.create_task(worker.run())
        await one_step(scheduler, worker)
        worker.stop()
        await running
        return scheduler

    scheduler = run_virtual(main())
    assert attempts == [2]
    assert scheduler.steps["a"].status == "succeeded"


class SlowFirstAnswer(ModelScheduler):
    """Its first answer to a claim comes long after the claim has taken effect."""

    async def __call__(self, request: Any, within_s: float) -> Answer:
        answer = await super().__call__(request, within_s)
        if len(self.requests("_claim")) == 1 and "_claim" in request.url:
            await asyncio.sleep(LEASE_S + 0.5)
        return answer


def test_a_steps_own_timeout_stops_its_function() -> None:
    ended_at_s: list[float] = []

    async def long(context: StepContext) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended_at_s.append(await now_s())

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.add("a", timeout_ms=1_500)
        await until(lambda: bool(ended_at_s))

    play(long, story, drain_timeout="0s")
    assert 1.5 <= ended_at_s[0] < 1.6


def test_progress_goes_with_the_regular_heartbeats_and_usage_once() -> None:
    async def long(context: StepContext) -> None:
        context.progress(10, "begun")
        context.usage(llm_tokens=5)
        await asyncio.sleep(1.5)
        context.progress(90)
        await asyncio.sleep(1.5)

    step = play(long, one_step).steps["a"]
    assert step.beats[:2] == [
        {"progress": 10, "message": "begun", "usage": {"llm_tokens": 5, "cost": 0}},
        {"progress": 90},
    ]


def test_a_checkpoint_is_sent_at_once_and_given_to_the_next_attempt() -> None:
    seen: list[tuple[int, Any]] = []

    async def resuming(context: StepContext) -> str:
        seen.append((context.attempt, context.checkpoint))
        if context.attempt == 1:
            state = {"page": 1}
            context.save_checkpoint(state)
            state["page"] = 99
            await asyncio.sleep(60)
        return "done"

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        step = scheduler.add("a")
        await until(lambda: step.checkpoint is not None)
        assert await now_s() < 0.1
        step.status = "ready"
        await until(ended(scheduler, "a"))

    play(resuming, story)
    assert seen == [(1, None), (2, {"page": 1})]


def test_checkpoints_that_come_quickly_leave_the_last_one_behind() -> None:
    async def eager(context: StepContext) -> None:
        for page in range(50):
            context.save_checkpoint({"page": page})
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.1)

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.add("a")
        await until(ended(scheduler, "a"))

    step = play(eager, story).steps["a"]
    assert step.checkpoint == {"page": 49}
    assert len(step.beats) < 50


def test_a_checkpoint_that_the_server_does_not_take_fails_the_step() -> None:
    async def large(context: StepContext) -> None:
        context.save_checkpoint("x" * 20_000)
        await asyncio.sleep(60)

    step = play(large, one_step).steps["a"]
    assert step.errors == [{"type": "heartbeat.refused", "message": "the heartbeat has too many bytes"}]
    assert not step.retryable


async def many(scheduler: ModelScheduler, count: int) -> None:
    for number in range(count):
        scheduler.add(f"s{number}", number)
    await until(ended(scheduler, *(f"s{number}" for number in range(count))))


def test_no_more_steps_are_claimed_than_there_are_slots() -> None:
    running: list[int] = [0, 0]

    async def counting(context: StepContext) -> None:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.5)
        running[0] -= 1

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        await many(scheduler, 20)

    scheduler = play(counting, story, concurrency=4)
    assert (running[1], scheduler.most_claimed) == (4, 4)


def test_steps_that_end_together_are_reported_together() -> None:
    async def nap(context: StepContext) -> None:
        await asyncio.sleep(1.0)

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        await many(scheduler, 200)

    scheduler = play(nap, story, concurrency=200)
    assert len(scheduler.bulks("complete")) <= 3


def test_a_single_report_is_not_delayed() -> None:
    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        await one_step(scheduler, worker)
        assert await now_s() < 0.01

    play(double, story)


def test_batches_grow_while_requests_are_under_way() -> None:
    async def staggered(context: StepContext) -> None:
        await asyncio.sleep(context.payload / 100_000)

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        await many(scheduler, 500)

    scheduler = play(staggered, story, concurrency=500)
    sizes = [len(heard.body["reports"]) for heard in scheduler.bulks("complete")]
    assert sum(sizes) == 500
    assert len(sizes) < 30
    assert max(sizes) > 20


def test_one_report_that_spoils_its_request_does_not_take_the_others_with_it() -> None:
    async def echo(context: StepContext) -> Any:
        await asyncio.sleep(0.1)
        return context.payload

    def nested_too_deep(heard: Heard) -> Any:
        reports = heard.body["reports"] if heard.body else []
        if any(report.get("complete", {}).get("result") == 13 for report in reports):
            return problem(400, "invalid-request", "the body nests too deep")
        return None

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.fault = nested_too_deep
        await many(scheduler, 50)

    scheduler = play(echo, story, concurrency=50)
    spoiled = scheduler.steps.pop("s13")
    assert spoiled.errors == [{"type": "result.refused", "message": "the body nests too deep"}]
    assert {step.status for step in scheduler.steps.values()} == {"succeeded"}


def test_a_lease_that_is_handed_out_twice_is_run_once() -> None:
    runs: list[str] = []

    async def note(context: StepContext) -> None:
        runs.append(context.step.step_id)
        await asyncio.sleep(1.0)

    class Repeating(ModelScheduler):
        """Answers its first two claims with the same lease."""

        first: Answer | None = None

        async def _claim(self, query: dict[str, str]) -> Answer:
            if self.first is None:
                self.first = await super()._claim(query)
                return self.first
            return self.first if len(self.requests("_claim")) == 2 else await super()._claim(query)

    async def main() -> None:
        scheduler = Repeating()
        worker = worker_of(scheduler)
        worker.add("work", note)
        running = asyncio.create_task(worker.run())
        await one_step(scheduler, worker)
        assert len(scheduler.requests("_claim")) >= 2
        worker.stop()
        await running

    run_virtual(main())
    assert runs == ["a~1"]


def test_several_capabilities_share_the_slots_of_one_worker() -> None:
    async def main() -> ModelScheduler:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler)

        @worker.capability("upper")
        async def upper(context: StepContext) -> Any:
            return context.payload.upper()

        @worker.capability("lower")
        async def lower(context: StepContext) -> Any:
            return context.payload.lower()

        running = asyncio.create_task(worker.run())
        scheduler.add("a", "Ada", capability="upper")
        scheduler.add("b", "Bob", capability="lower")
        await until(ended(scheduler, "a", "b"))
        worker.stop()
        await running
        return scheduler

    scheduler = run_virtual(main())
    assert scheduler.heard[0].query["capability"] == "upper,lower"
    assert (scheduler.steps["a"].result, scheduler.steps["b"].result) == ("ADA", "bob")


def test_a_completion_is_repeated_until_the_server_is_back() -> None:
    runs: list[int] = []

    async def quick(context: StepContext) -> str:
        runs.append(context.attempt)
        return "done"

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        def away(heard: Heard) -> Any:
            return problem(503, "unavailable") if heard.path.endswith("_bulk") else None

        scheduler.fault = away
        # The server owns the clock of a lease; while nobody owns the lane it does not run out.
        step = scheduler.add("a", lease_s=1_000.0)
        await until(lambda: step.status == "claimed")
        await asyncio.sleep(20)
        scheduler.fault = lambda heard: None
        await until(ended(scheduler, "a"))

    step = play(quick, story).steps["a"]
    assert (step.result, runs) == ("done", [1])


def test_a_completion_whose_answer_was_lost_counts_once_and_frees_the_slot() -> None:
    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        lost: list[Heard] = []

        def lose_first(heard: Heard) -> Any:
            if heard.path.endswith("_bulk") and not lost:
                lost.append(heard)
                return NoAnswer("cut")
            return None

        scheduler.fault = lose_first
        scheduler.add("a", {"n": 1})
        await until(ended(scheduler, "a"))
        scheduler.add("b", {"n": 2})
        await until(ended(scheduler, "b"))

    scheduler = play(double, story, concurrency=1)
    assert [step.result for step in scheduler.steps.values()] == [{"n": 2}, {"n": 4}]


def test_a_worker_goes_on_when_its_server_comes_back_after_a_long_time() -> None:
    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.fault = lambda heard: problem(503, "unavailable")
        scheduler.add("a", {"n": 1})
        await asyncio.sleep(3_600)
        asked = len(scheduler.heard)
        assert 3_600 / 5 * 0.9 < asked < 3_600 / 2.5 * 1.2, "rests of 2.5 to 5 s"
        scheduler.fault = lambda heard: None
        await until(ended(scheduler, "a"), within_s=6)

    play(double, story)


def test_servers_that_want_a_long_rest_are_not_asked_meanwhile() -> None:
    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.fault = lambda heard: problem(503, "unavailable", retry_after_s=600.0)
        scheduler.add("a", {"n": 1})
        await asyncio.sleep(500)
        assert len(scheduler.heard) == 1
        scheduler.fault = lambda heard: None
        await until(ended(scheduler, "a"), within_s=300)

    play(double, story)


def test_a_server_that_does_not_wait_is_not_asked_without_a_pause() -> None:
    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.fault = lambda heard: said({"steps": []})
        await asyncio.sleep(10)
        assert len(scheduler.heard) < 100

    play(double, story)


def test_a_worker_that_may_not_claim_ends_with_the_servers_reason_after_what_runs() -> None:
    async def main() -> ModelScheduler:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler)

        @worker.capability("work")
        async def long(context: StepContext) -> str:
            await asyncio.sleep(5)
            return "done"

        scheduler.add("a")
        running = asyncio.create_task(worker.run())
        await until(lambda: scheduler.steps["a"].status == "claimed")

        def forbidden(heard: Heard) -> Any:
            return problem(403, "forbidden", "no claims for you") if heard.path.endswith("_claim") else None

        scheduler.fault = forbidden
        with pytest.raises(Refused, match="no claims for you"):
            await running
        return scheduler

    assert run_virtual(main()).steps["a"].result == "done"


def test_a_worker_at_a_wrong_address_says_so() -> None:
    async def main() -> None:
        scheduler = ModelScheduler()
        scheduler.fault = lambda heard: Answer(404, b"<html>not here</html>")
        worker = worker_of(scheduler)
        worker.add("work", double)
        with pytest.raises(WrongAnswer, match="without a problem document"):
            await worker.run()

    run_virtual(main())


def test_stopping_lets_what_runs_finish_and_claims_nothing_more() -> None:
    async def long(context: StepContext) -> str:
        await asyncio.sleep(10)
        return "done"

    async def story(scheduler: ModelScheduler, worker: Worker) -> None:
        scheduler.add("a")
        await until(lambda: scheduler.steps["a"].status == "claimed")
        worker.stop()
        scheduler.add("b")
        await until(ended(scheduler, "a"))

    scheduler = play(long, story)
    assert (scheduler.steps["a"].result, scheduler.steps["b"].status) == ("done", "ready")


def test_what_does_not_finish_in_time_is_given_back_without_using_an_attempt() -> None:
    stopped: list[str | None] = []

    async def long(context: StepContext) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            stopped.append(context.cancel_reason)

    async def main() -> tuple[ModelScheduler, float]:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler, drain_timeout="7s")
        worker.add("work", long)
        scheduler.add("a")
        running = asyncio.create_task(worker.run())
        await until(lambda: scheduler.steps["a"].status == "claimed")
        worker.stop()
        began_s = await now_s()
        await running
        return scheduler, await now_s() - began_s

    scheduler, took_s = run_virtual(main())
    step = scheduler.steps["a"]
    assert (step.status, step.attempt, stopped) == ("ready", 0, ["the worker is stopping"])
    assert took_s == pytest.approx(7.0, abs=0.1)


def test_a_second_stop_cuts_the_drain_short() -> None:
    async def long(context: StepContext) -> None:
        await asyncio.sleep(600)

    async def main() -> tuple[ModelScheduler, float]:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler)
        worker.add("work", long)
        scheduler.add("a")
        running = asyncio.create_task(worker.run())
        await until(lambda: scheduler.steps["a"].status == "claimed")
        worker.stop()
        worker.stop()
        await running
        return scheduler, await now_s()

    scheduler, took_s = run_virtual(main())
    assert (scheduler.steps["a"].status, took_s < 1.0) == ("ready", True)


def test_what_does_not_stop_when_told_is_given_back_all_the_same() -> None:
    released: list[bool] = []

    async def stubborn(context: StepContext) -> None:
        while not released:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(600)

    async def main() -> ModelScheduler:
        scheduler = ModelScheduler()
        worker = worker_of(scheduler, drain_timeout="1s")
        worker.add("work", stubborn)
        scheduler.add("a")
        running = asyncio.create_task(worker.run())
        await until(lambda: scheduler.steps["a"].status == "claimed")
        worker.stop()
        await running
        released.append(True)
        return scheduler

    step = run_virtual(main()).steps["a"]
    assert (step.status, step.attempt) == ("ready", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_a_worker_in_order(number: signal.Signals) -> None:
    scheduler = ModelScheduler(round_trip_s=0)
    worker = worker_of(scheduler)
    started, goes_on = asyncio.Event(), asyncio.Event()

    @worker.capability("work")
    async def waiting(context: StepContext) -> str:
        started.set()
        await goes_on.wait()
        return "done"

    scheduler.add("a")
    running = asyncio.create_task(worker.run())
    await started.wait()
    claims = len(scheduler.requests("_claim"))
    os.kill(os.getpid(), number)
    loop = asyncio.get_running_loop()
    # Signals reach the loop through a socket, and the claim under way ends in the rounds after.
    loop.call_later(0.05, goes_on.set)
    await running
    assert scheduler.steps["a"].result == "done"
    assert len(scheduler.requests("_claim")) - claims <= 1


@pytest.mark.parametrize(
    ("name", "words"), [("", "allowed: 1 to 128"), ("a,b", "allowed: 1 to 128"), ("taken", "has a function already")]
)
def test_a_capability_has_a_good_name_and_one_function(name: str, words: str) -> None:
    worker = Worker()
    worker.add("taken", double)
    with pytest.raises(ValueError, match=words):
        worker.add(name, double)


def test_a_worker_has_a_bounded_number_of_capabilities() -> None:
    worker = Worker()
    for number in range(64):
        worker.add(f"c{number}", double)
    with pytest.raises(ValueError, match="at most 64"):
        worker.add("one-more", double)


async def test_a_worker_without_a_capability_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="register a function first"):
        await Worker().run()


def test_a_worker_needs_a_slot() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Worker(concurrency=0)
