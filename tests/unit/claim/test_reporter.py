"""How reports are put together, and when they are repeated; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from leasehold.claim import OutcomeUnknown, Problem, Unavailable
from leasehold.claim.client import TimedResults
from leasehold.claim.running.attempt import EncodedReport, encoded
from leasehold.claim.running.bulk import Reported
from leasehold.claim.running.reporter import Reporter
from leasehold.claim.wire import CompleteBody, StepReport, StepReportResult

from tests.kit.virtual_time import run_virtual

ROUND_TRIP_S = 0.01


class Server:
    """Answers bulks; `answers` are used up first: results' codes, or exceptions."""

    def __init__(self, *answers: int | Exception, word: str = "unavailable") -> None:
        self.bulks: list[list[str]] = []
        self._answers = list(answers)
        self._word = word

    async def __call__(
        self, reports: Sequence[msgspec.Raw], *, answer_within_s: float | None, give_up_after_s: float | None
    ) -> TimedResults:
        names = [msgspec.json.decode(report)["step_id"] for report in reports]
        self.bulks.append(names)
        sent_at_s = asyncio.get_running_loop().time()
        await asyncio.sleep(ROUND_TRIP_S)
        answer = self._answers.pop(0) if self._answers else 200
        if isinstance(answer, Exception):
            raise answer
        problem = None
        if answer != 200:
            problem = Problem(f"urn:leasehold:problem:{self._word}", "", answer, retry_after_s=2.0)
        return TimedResults([StepReportResult(name, answer, problem=problem) for name in names], sent_at_s, False)


def report(name: str, size_bytes: int = 0) -> EncodedReport:
    return encoded(StepReport(name, "complete", complete=CompleteBody("x" * size_bytes)))


def delivered(server: Server, story: Callable[[Reporter], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        return await story(Reporter(server, Random(1)))

    return run_virtual(main())


async def one(reporter: Reporter) -> tuple[Reported, float]:
    reported = await reporter.report(report("a"), give_up_after_s=60.0)
    return reported, asyncio.get_running_loop().time()


async def all_of(reporter: Reporter, reports: list[EncodedReport]) -> None:
    await asyncio.gather(*(reporter.report(one, give_up_after_s=60.0) for one in reports))


def test_a_lone_report_is_sent_at_once() -> None:
    server = Server()
    reported, took_s = delivered(server, one)
    assert (reported.result.code, took_s, server.bulks) == (200, ROUND_TRIP_S, [["a"]])


@pytest.mark.parametrize("code", [503, 500, 429, 408])
def test_a_report_that_is_not_taken_for_now_is_repeated_after_the_time_asked_for(code: int) -> None:
    server = Server(code, code)
    reported, took_s = delivered(server, one)
    assert (reported.result.code, len(server.bulks)) == (200, 3)
    assert took_s == pytest.approx(2 * 2.0, abs=0.1)


@pytest.mark.parametrize("code", [400, 404, 409, 413, 422])
def test_a_refusal_is_the_end_of_it(code: int) -> None:
    server = Server(code)
    reported, _ = delivered(server, one)
    assert (reported.result.code, reported.after_unknown, len(server.bulks)) == (code, False, 1)


@pytest.mark.parametrize("answer", [OutcomeUnknown("cut"), Unavailable("away")])
def test_a_request_that_fails_is_repeated(answer: Exception) -> None:
    server = Server(answer, answer)
    reported, _ = delivered(server, one)
    assert (reported.result.code, len(server.bulks)) == (200, 3)


@pytest.mark.parametrize(
    ("server", "unknown"),
    [
        (Server(OutcomeUnknown("cut"), 409), True),
        (Server(500, 409, word="internal-error"), True),
        (Server(503, 409, word="outcome-unknown"), True),
        (Server(Unavailable("away"), 409), False),
        (Server(503, 409), False),
        (Server(409), False),
    ],
)
def test_a_refusal_tells_whether_an_earlier_sending_may_have_counted(server: Server, unknown: bool) -> None:
    reported, _ = delivered(server, one)
    assert (reported.result.code, reported.after_unknown) == (409, unknown)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(OutcomeUnknown("cut"), OutcomeUnknown), (Unavailable("away"), Unavailable), (503, Unavailable)],
)
def test_giving_up_comes_in_time(answer: Any, error: type[Exception]) -> None:
    server = Server(*[answer] * 1_000)
    with pytest.raises(error):
        delivered(server, one)
    assert 60 / 5 < len(server.bulks) < 60 / 2 + 5


def test_what_ends_in_the_same_moment_goes_in_one_request() -> None:
    server = Server()
    delivered(server, lambda reporter: all_of(reporter, [report(str(number)) for number in range(300)]))
    assert [len(bulk) for bulk in server.bulks] == [300]


def test_a_request_holds_a_bounded_number_of_reports_in_order() -> None:
    server = Server()
    delivered(server, lambda reporter: all_of(reporter, [report(str(number)) for number in range(2_500)]))
    assert [len(bulk) for bulk in server.bulks] == [1_000, 1_000, 500]
    assert [name for bulk in server.bulks for name in bulk] == [str(number) for number in range(2_500)]


def test_a_request_holds_a_bounded_number_of_bytes_but_one_report_at_least() -> None:
    server = Server()
    sizes = [3_000_000, 3_000_000, 500_000, 9_000_000, 100]
    reports = [report(str(number), size_bytes) for number, size_bytes in enumerate(sizes)]
    delivered(server, lambda reporter: all_of(reporter, reports))
    assert server.bulks == [["0"], ["1", "2"], ["3"], ["4"]]


def test_two_requests_at_most_are_under_way_and_the_next_takes_all_that_came_meanwhile() -> None:
    server = Server()

    async def trickle(reporter: Reporter) -> None:
        tasks = []
        for number in range(100):
            tasks.append(asyncio.create_task(reporter.report(report(str(number)), give_up_after_s=60.0)))
            await asyncio.sleep(ROUND_TRIP_S / 50)
        await asyncio.gather(*tasks)

    delivered(server, trickle)
    assert [len(bulk) for bulk in server.bulks[:2]] == [1, 1]
    assert len(server.bulks) <= 7


def test_an_asker_that_has_gone_does_not_keep_the_others_from_their_answers() -> None:
    async def story(reporter: Reporter) -> list[Any]:
        tasks = [asyncio.create_task(reporter.report(report(name), give_up_after_s=60.0)) for name in "abc"]
        await asyncio.sleep(ROUND_TRIP_S / 2)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = delivered(Server(), story)
    assert (first.result.step_id, third.result.step_id) == ("a", "c")
    assert isinstance(second, asyncio.CancelledError)


def test_a_defect_reaches_whoever_reports_instead_of_hanging() -> None:
    with pytest.raises(ZeroDivisionError):
        delivered(Server(ZeroDivisionError("a defect")), one)
