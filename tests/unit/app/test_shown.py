"""What a terminal of 80 columns shows of an instance, and of what holds it up."""

from __future__ import annotations

import pytest
from leasehold.claim.wire import Cause, Explanation, InstanceView, StepView
from leasehold.core.app.commands.shown import show_instance, tell_causes


@pytest.fixture(autouse=True)
def _a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_steps_that_wait_for_the_same_thing_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    causes = [Cause("no-executor", "nobody asks", "start one", step=f"each[{item}].scan") for item in range(16)]
    causes.insert(3, Cause("timer", "it waits", "wait", step="each[1].pause"))
    tell_causes(Explanation("03-1", "sweep", "running", "", causes))
    assert capsys.readouterr().out == (
        "each[0].scan and 15 more: nobody asks\n  -> start one\neach[1].pause: it waits\n  -> wait\n"
    )


def test_children_are_told_one_by_one_even_where_their_parents_say_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    child = Explanation("03-2", "one", "waiting", "it waits", [])
    causes = [Cause("children", "it waits", "look", step=step, children=[child]) for step in ("a", "b")]
    tell_causes(Explanation("03-1", "two", "running", "", causes))
    assert capsys.readouterr().out.count("03-2  one  waiting") == 2


def test_no_part_of_a_run_path_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    path = "everything.left.each-of-the-hosts[9999].look-closer"
    step = StepView(path, path, "ready", "an-executor-with-a-name", started_at_ms=0, message="it is under way " * 5)
    show_instance(InstanceView("03-1", "sweep", 1, "running", "default", "default", 0, [step]), as_json=False)
    column = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "".join(column) == path
