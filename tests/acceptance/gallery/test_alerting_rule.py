"""An alerting rule over many runs: what it tells, and what it keeps from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leasehold.core.testing import Run, play

from .stubs import EXAMPLES, Services, hits

PARAMS = {"rule": "too-many-errors", "index": "logs-*", "threshold": 10}


class Rule:
    """The rule, run after run at the minutes that the test names."""

    def __init__(self) -> None:
        self.memory: Mapping[str, Any] = {}
        self.services = Services()

    def at(self, minute: int, count: int) -> Run:
        run = play(
            EXAMPLES / "alerting-rule.yaml",
            params=PARAMS,
            memory=self.memory,
            start=f"2026-01-05T{8 + minute // 60:02}:{minute % 60:02}:00Z",
            executors={"es-query": hits(total=count), "http": self.services},
        )
        run.until_done()
        assert run.status == "succeeded", run.error
        self.memory = {**self.memory, **run.remembered}
        return run

    @property
    def told(self) -> list[str]:
        return [body["text"] for _, _, body in self.services.asked]


def test_an_alert_is_told_when_it_opens_every_hour_and_when_it_is_over() -> None:
    rule = Rule()
    for minute, count in [(0, 3), (1, 11), (2, 12), (30, 20), (61, 15), (62, 14), (70, 2), (71, 1)]:
        rule.at(minute, count)
    assert rule.told == [
        "too-many-errors: 11 is above 10",
        "too-many-errors: still 15, since 2026-01-05T08:01:00.000Z",
        "too-many-errors: over, 2 now",
    ]


def test_a_quiet_rule_tells_nobody_and_remembers_that() -> None:
    rule = Rule()
    run = rule.at(0, 10)
    assert run.outputs == {"active": False, "count": 10, "told": False}
    assert run.steps["tell"].status == "skipped"
    assert rule.memory["active"] is False


def test_an_alert_that_comes_back_is_told_again_with_its_own_beginning() -> None:
    rule = Rule()
    for minute, count in [(0, 11), (1, 0), (2, 12)]:
        rule.at(minute, count)
    assert len(rule.told) == 3
    assert rule.memory["since"] == "2026-01-05T08:02:00.000Z"
