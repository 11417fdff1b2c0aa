"""`wait`, `until`, `wait_for_signal`, and the steps that are done at once."""

from __future__ import annotations

import pytest
from leasehold.core.testing import Failure, NotApplied, play


def test_a_wait_of_seven_days_takes_seven_days_and_no_executor() -> None:
    run = play("name: x\nsteps: [{name: cool-down, wait: 7d}, {name: a, executor: e}]", executors={"e": None})
    assert (run.status, run.steps["cool-down"].status) == ("waiting", "waiting")
    run.advance(days=6)
    assert run.status == "waiting"
    run.until_done()
    assert run.elapsed_ms == 7 * 86_400_000


def test_until_waits_for_a_time_and_not_for_one_that_has_passed() -> None:
    text = 'name: x\nsteps: [{name: u, until: "{{ trigger.at }}"}]'
    run = play(text, trigger={"at": "2026-01-05T10:30:00Z"})
    run.until_done()
    assert run.elapsed_ms == 9_000_000
    run = play(text, trigger={"at": "2020-01-01"})
    run.until_done()
    assert run.elapsed_ms <= 1
    run = play(text, trigger={"at": "soon"})
    assert run.error is not None
    assert run.error.type == "until"
    assert "'soon'" in run.error.message


SIGNAL = """
name: x
steps:
  - {name: before, executor: e}
  - {name: ticket, wait_for_signal: ticket-closed, timeout: 7d, on_timeout: %s}
  - {name: after, executor: e, input: "{{ steps.ticket.result }}"}
outputs: {by: "{{ steps.ticket.result }}", last: "{{ signals.get('ticket-closed') }}"}
"""


def test_a_signal_wakes_the_step_that_waits_and_gives_it_its_payload() -> None:
    run = play(SIGNAL % "fail", executors={"e": lambda step: step.payload})
    assert run.status == "waiting"
    run.signal("other", 1)
    assert run.status == "waiting"
    run.signal("ticket-closed", {"by": "ann"})
    run.until_done()
    assert run.outputs == {"by": {"by": "ann"}, "last": {"by": "ann"}}
    assert [signal.name for signal in run.instance.inbox] == ["other"]


def test_a_signal_that_comes_before_the_wait_is_kept_and_each_is_taken_once() -> None:
    run = play(
        """
name: x
steps:
  - {name: cool-down, wait: 1h}
  - {name: first, wait_for_signal: go}
  - {name: second, wait_for_signal: go}
outputs: ["{{ steps.first.result }}"]
""".replace(
            'outputs: ["{{ steps.first.result }}"]',
            'outputs: {got: "{{ steps.first.result }}{{ steps.second.result }}"}',
        )
    )
    run.signal("go", "a")
    run.signal("go", "b")
    run.until_done()
    assert run.outputs == {"got": "ab"}
    assert run.instance.inbox == ()


def test_a_wait_for_a_signal_that_never_comes_fails_or_is_skipped() -> None:
    run = play(SIGNAL % "fail", executors={"e": None})
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type, run.elapsed_ms) == ("failed", "timeout", 7 * 86_400_000)
    run = play((SIGNAL % "continue").replace("signals.get('ticket-closed')", "signals | length"), executors={"e": None})
    run.until_done()
    assert (run.status, run.steps["ticket"].status) == ("succeeded", "skipped")


def test_so_many_signals_are_kept_and_no_more() -> None:
    run = play("name: x\nsteps: [{name: w, wait: 1h}]")
    for number in range(1_000):
        run.signal("s", number)
    with pytest.raises(NotApplied, match="1000 signals are kept"):
        run.signal("s", 1_000)


def test_set_writes_vars_and_a_step_keeps_what_it_saw() -> None:
    run = play(
        """
name: x
steps:
  - {name: one, set: {severity: low, n: 1}}
  - {name: slow, executor: e, input: "{{ vars.severity }}", retry: {max: 1, initial: 1m, jitter: none}}
  - {name: two, set: {severity: high}, depends_on: [one]}
outputs: {vars: "{{ vars }}"}
""",
        executors={"e": [Failure("x"), "done"]},
    )
    run.until_done()
    assert run.outputs == {"vars": {"severity": "high", "n": 1}}
    assert [attempt.input for attempt in run.attempts("slow")] == ["low", "low"]


def test_fail_and_succeed_end_the_instance() -> None:
    run = play(
        """
name: x
steps:
  - {name: a, executor: e}
  - {name: stop, fail: "no {{ steps.a.result }}", if: "{{ not steps.a.result }}"}
""",
        executors={"e": 0},
    )
    run.until_done()
    assert run.error is not None
    assert (run.status, run.error.type, run.error.message) == ("failed", "fail", "step 'stop' failed: no 0")
    run = play(
        """
name: x
steps:
  - {name: slow, executor: never}
  - {name: done, succeed: {early: true}, depends_on: []}
  - {name: later, executor: never, depends_on: [slow]}
outputs: {early: false}
""",
        executors={"never": None},
    )
    assert (run.status, run.outputs) == ("succeeded", {"early": True})
    assert run.steps["later"].status == "cancelled"


def test_a_timer_is_never_due_in_the_event_that_sets_it() -> None:
    run = play('name: x\nsteps: [{name: w, until: "{{ now }}"}, {name: v, until: "{{ now }}"}]')
    run.until_done()
    assert run.elapsed_ms == 2
