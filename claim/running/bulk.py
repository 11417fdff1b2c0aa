"""Reports sent together, so that one which the server refuses does not take the others with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from ..errors import Refused
from ..wire import StepReportResult
from .attempt import EncodedReport


class Reported(Struct, frozen=True):
    """What a server said to one report, which it got after `sent_at_s`. `after_unknown` is as in `Refused`."""

    result: StepReportResult
    sent_at_s: float
    after_unknown: bool = False


class Results(Protocol):
    @property
    def results(self) -> list[StepReportResult]: ...
    @property
    def sent_at_s(self) -> float: ...
    @property
    def after_unknown(self) -> bool: ...


class Send(Protocol):
    """`ClaimClient.report_timed`, or what stands for it."""

    async def __call__(
        self, reports: Sequence[msgspec.Raw], *, answer_within_s: float | None, give_up_after_s: float | None
    ) -> Results: ...


async def report_together(
    send: Send,
    reports: Sequence[EncodedReport],
    *,
    answer_within_s: float | None = None,
    give_up_after_s: float | None = None,
) -> list[Reported]:
    """One result a report, in order. A request that is refused as a whole is halved until the culprit stands alone.

    Raises: Unavailable; OutcomeUnknown; WrongAnswer.
    """
    try:
        timed = await send(
            [report.raw for report in reports], answer_within_s=answer_within_s, give_up_after_s=give_up_after_s
        )
    except Refused as error:
        if len(reports) == 1:
            refused = StepReportResult(reports[0].step_id, error.problem.status, problem=error.problem)
            return [Reported(refused, 0.0, error.after_unknown)]
        middle = len(reports) // 2
        halves = [
            await report_together(send, half, answer_within_s=answer_within_s, give_up_after_s=give_up_after_s)
            for half in (reports[:middle], reports[middle:])
        ]
        return halves[0] + halves[1]
    return [Reported(result, timed.sent_at_s, timed.after_unknown) for result in timed.results]
