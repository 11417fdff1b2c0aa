"""Recorded runs through the machine once more: under their own version, and under another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from leasehold.core.machine import AnyEvent, Claimed, Completed, Failed, Instance
from leasehold.core.machine.times import Times
from leasehold.core.replay import Difference, Recording, Wanted, compare, missing_outputs, replay, restore
from leasehold.core.replay.recording import CHANGING, GIVEN
from leasehold.core.testing import NOBODY, Delivery, Failure, Run, Takes, Usage, play
from leasehold.definitions import Plan, load
from msgspec.structs import replace

TRIAGE = """
name: triage
version: 1
steps:
  - {name: fetch, executor: es-query, input: {index: logs}, retry: {max: 2, initial: 10s, jitter: none}}
  - {name: reason, executor: ai, input: "{{ steps.fetch.result }}", model: small, timeout: 5m}
  - {name: apply, executor: action, requires_approval: true, approval_timeout: 24h}
  - {name: report, executor: render, if: "{{ steps.reason.result.bad }}"}
outputs: {verdict: "{{ steps.reason.result }}"}
"""


def plan(source: str) -> Plan:
    (definition,) = load(source)
    return definition.compile()


def waiting() -> Run:
    """A run of TRIAGE that has failed once, taken a minute, and waits for its approval."""
    stubs = {
        "es-query": [Failure("http.503"), {"hits": 3}],
        "ai": Takes("1m", Delivery({"bad": True}, usage=Usage(llm_calls=2))),
        "action": "done",
        "render": "text",
    }
    run = play(TRIAGE, executors=stubs)
    run.until(lambda run: run.steps["reason"].status == "succeeded")
    assert run.status == "waiting"
    return run


def finished() -> Run:
    run = waiting()
    run.advance(hours=1)
    run.approve("apply")
    assert run.status == "succeeded"
    return run


def parted(run: Run, old: str, new: str) -> Difference | None:
    """Where the run parts from what it would have been under a second version with this change."""
    assert old in TRIAGE
    source = TRIAGE.replace(old, new).replace("version: 1", "version: 2")
    return compare(run.recording(), plan(TRIAGE), plan(source)).difference


def in_a_field(difference: Difference | None) -> tuple[str, str, str]:
    assert difference is not None
    return difference.happened, difference.path, difference.field


def test_a_run_replayed_under_its_own_version_is_the_same() -> None:
    run = finished()
    replayed = replay(run.recording(), plan(TRIAGE))
    assert replayed.same
    assert replayed.instance == run.instance
    assert replayed.events == len(run.events)


def test_a_run_of_a_release_that_counted_no_times_is_the_same() -> None:
    run = finished()
    recording = run.recording()
    approval = run.steps["apply"].approval
    assert approval is not None
    apply = replace(run.steps["apply"], approval=replace(approval, attempt=0))
    instance = replace(run.instance, times=Times(), steps={**run.instance.steps, "apply": apply})
    assert instance != run.instance
    assert replay(replace(recording, instance=instance), plan(TRIAGE)).same


def test_a_run_under_way_is_replayed_to_where_it_stands() -> None:
    run = waiting()
    assert replay(run.recording(), plan(TRIAGE)).instance == run.instance


def test_a_recording_goes_through_json() -> None:
    encoded = msgspec.json.encode(finished().recording())
    assert replay(msgspec.json.decode(encoded, type=Recording), plan(TRIAGE)).same


def altered(run: Run, number: int, **changes: Any) -> Recording:
    recording = run.recording()
    events = list(recording.events)
    events[number] = replace(events[number], **changes)
    return replace(recording, events=events)


def of_kind(events: Sequence[AnyEvent], kind: type) -> int:
    return next(number for number, event in enumerate(events) if type(event) is kind)


@pytest.mark.parametrize(
    ("kind", "changes", "found"),
    [
        (Completed, {"result": {"hits": 4}}, ("end", "fetch", "result")),
        (Completed, {"token": 9}, ("completed", "", "event")),
        (Claimed, {"worker": "another"}, ("end", "", "")),
        (Claimed, {"path": "apply"}, ("claimed", "", "event")),
        (Failed, {"retryable": False}, ("timer", "", "event")),
    ],
)
def test_a_recording_that_was_tampered_with_differs(kind: type, changes: dict[str, Any], found: Any) -> None:
    run = finished()
    replayed = replay(altered(run, of_kind(run.events, kind), **changes), plan(TRIAGE))
    if kind is Claimed and "worker" in changes:
        # The worker of a first attempt that failed stands in no state any more: nothing could tell.
        assert replayed.same
    else:
        assert in_a_field(replayed.difference) == found


def test_an_event_that_is_missing_makes_the_next_one_impossible() -> None:
    run = finished()
    recording = run.recording()
    replayed = replay(replace(recording, events=recording.events[:1] + recording.events[2:]), plan(TRIAGE))
    assert in_a_field(replayed.difference) == ("failed", "", "event")
    assert "refused: nobody holds step 'fetch'" in str(replayed.difference)
    assert replayed.events == 1


def test_a_last_state_that_was_tampered_with_is_told_by_its_field() -> None:
    recording = finished().recording()
    replayed = replay(replace(recording, instance=replace(recording.instance, tokens=17)), plan(TRIAGE))
    assert replayed.difference is not None
    assert (replayed.difference.happened, replayed.difference.field) == ("end", "tokens")
    assert (replayed.difference.recorded, replayed.difference.replayed) == (17, 4 + 1)


def test_what_lies_ahead_may_change() -> None:
    run = waiting()
    for old, new in (
        ("approval_timeout: 24h", "approval_timeout: 48h"),
        ("executor: render", "executor: painter"),
        ("max: 2", "max: 5"),
        ("timeout: 5m", "timeout: 10m"),
        ("outputs: {verdict", "outputs: {text"),
        (
            '  - {name: report, executor: render, if: "{{ steps.reason.result.bad }}"}',
            "  - {name: tell, executor: mail}",
        ),
        ("name: triage", "max_duration: 7d\nname: triage"),
        ("name: triage", "description: another\nlabels: {a: b}\nname: triage"),
    ):
        assert parted(run, old, new) is None, new


def test_what_has_happened_may_not() -> None:
    run = waiting()
    for old, new, found in (
        ("index: logs", "index: other", ("started", "fetch", "input")),
        ("executor: es-query", "executor: search", ("started", "fetch", "executor")),
        ("model: small", "model: large", ("claimed", "reason", "with")),
        ("retry: {max: 2, initial: 10s, jitter: none}", "queue_timeout: 1h", ("failed", "fetch", "status")),
        ("initial: 10s", "initial: 20s", ("timer", "", "event")),
        ("initial: 10s", "initial: 5s", ("timer", "fetch", "timer")),
        ("timeout: 5m", "timeout: 30s", ("completed", "reason", "timer")),
        ("requires_approval: true, approval_timeout: 24h", "timeout: 1h", ("completed", "apply", "status")),
        ("executor: ai,", 'executor: ai, if: "{{ false }}",', ("completed", "reason", "status")),
        ("name: triage", "max_llm_calls: 1\nname: triage", ("completed", "apply", "status")),
        ("name: triage", "max_duration: 30s\nname: triage", ("completed", "", "timer")),
    ):
        assert in_a_field(parted(run, old, new)) == found, new


def test_a_step_with_another_name_is_another_step() -> None:
    renamed = TRIAGE.replace("name: fetch", "name: get").replace("steps.fetch", "steps.get")
    difference = compare(waiting().recording(), plan(TRIAGE), plan(renamed)).difference
    assert in_a_field(difference) == ("started", "fetch", "status")


def test_outputs_of_another_version_differ_once_there_are_any() -> None:
    difference = parted(finished(), "outputs: {verdict", "outputs: {text")
    assert in_a_field(difference) == ("completed", "", "outputs")


def test_a_step_that_comes_after_the_end_is_where_a_finished_run_parts() -> None:
    difference = parted(finished(), "outputs:", "  - {name: more, executor: mail}\noutputs:")
    assert in_a_field(difference) == ("completed", "more", "status")


def test_the_state_of_a_run_with_the_same_past_can_go_on_under_the_other_version() -> None:
    run = waiting()
    other = plan(TRIAGE.replace("version: 1", "version: 2").replace("24h", "48h"))
    replayed = compare(run.recording(), plan(TRIAGE), other)
    assert replayed.same
    assert replayed.instance.version == 2
    approval = replayed.instance.steps["apply"].approval
    assert approval is not None
    assert approval.timeout_at_ms - approval.asked_at_ms == 48 * 3_600_000


def without_results(run: Run) -> list[AnyEvent]:
    """The events as the log keeps them."""
    attempts = {path: state.attempt for path, state in run.instance.steps.items()}
    return [
        replace(event, result=None, attempt=attempts[event.path]) if type(event) is Completed else event
        for event in run.events
    ]


def test_results_come_from_the_state_where_it_has_them_and_from_rows_where_not() -> None:
    run = finished()
    stripped = without_results(run)
    assert missing_outputs(run.instance, stripped) == []
    assert restore(run.instance, stripped, {}) == run.recording()

    gone = replace(run.instance, steps={path: state for path, state in run.instance.steps.items() if path != "fetch"})
    assert missing_outputs(gone, stripped) == [Wanted("fetch", 2)]
    restored = restore(gone, stripped, {Wanted("fetch", 2): {"hits": 3}})
    assert restored.events == list(run.events)


def test_what_history_has_lost_is_named_and_not_guessed() -> None:
    run = finished()
    stripped = without_results(run)
    gone = replace(run.instance, steps={path: state for path, state in run.instance.steps.items() if path != "fetch"})
    replayed = replay(restore(gone, stripped, {}), plan(TRIAGE))
    assert not replayed.same
    assert replayed.missing == ["the result of attempt 2 of step 'fetch'"]


def test_a_run_that_nobody_has_claimed_can_be_compared() -> None:
    run = play(TRIAGE, executors={"es-query": NOBODY})
    assert parted(run, "timeout: 5m", "timeout: 1m") is None


def test_every_field_of_an_instance_is_given_at_its_creation_or_changed_by_events() -> None:
    """A new field has to be put on one side: a replay begins with those that are given."""
    assert not GIVEN & CHANGING
    assert set(Instance.__struct_fields__) == GIVEN | CHANGING
