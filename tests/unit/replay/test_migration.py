"""An instance that goes on under another version: what the replay proves, and what the machine makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.machine import Claimed, Completed, Instance, StepStatus, advance
from leasehold.core.machine.events import Migrated, SkipRequested
from leasehold.core.machine.migration import carried_over
from leasehold.core.machine.state import SideValue
from leasehold.core.replay import Recording, compare, replay
from leasehold.core.testing import NOBODY, Run, play
from leasehold.definitions import Plan, load
from msgspec.structs import replace

ORDER = """
name: order
version: 1
max_duration: 1h
steps:
  - {name: reserve, executor: shop, input: {of: "{{ inputs.item }}"}, compensate: {executor: shop}}
  - {name: confirm, executor: people, requires_approval: true, approval_timeout: 10m}
  - {name: ship, executor: shop, timeout: 5m}
  - {name: tell, executor: mail, depends_on: [ship]}
"""


def plan(source: str) -> Plan:
    (definition,) = load(source)
    return definition.compile()


def changed(*pairs: tuple[str, str]) -> Plan:
    """Version 2, with these changes."""
    source = ORDER.replace("version: 1", "version: 2")
    for old, new in pairs:
        assert old in source
        source = source.replace(old, new)
    return plan(source)


def waiting() -> Run:
    run = play(ORDER, executors={"shop": {"ok": True}, "people": NOBODY, "mail": "sent"}, params={"item": 7})
    assert run.steps["confirm"].status == "waiting"
    return run


def moved(run: Run, new: Plan) -> Instance:
    replayed = compare(run.recording(), plan(ORDER), new)
    assert replayed.same, replayed.difference
    return carried_over(run.instance, replayed.instance)


def test_steps_to_come_are_those_of_the_new_version() -> None:
    new = changed(("name: tell, executor: mail, depends_on: [ship]", "name: thank, executor: mail"))
    instance = moved(waiting(), new)
    assert (instance.version, list(instance.steps)) == (2, ["reserve", "confirm", "ship", "thank"])
    assert instance.steps["thank"].status is StepStatus.PENDING


def test_a_step_that_has_begun_can_not_vanish() -> None:
    new = changed(("name: confirm", "name: ask"))
    difference = compare(waiting().recording(), plan(ORDER), new).difference
    assert difference is not None
    assert difference.path in ("confirm", "ask")


@pytest.mark.parametrize(
    "new",
    [
        changed(("approval_timeout: 10m", "approval_timeout: 20m")),
        changed(("max_duration: 1h", "max_duration: 2h")),
        changed(("name: tell", "name: thank"), ("timeout: 5m", "timeout: 1m")),
    ],
    ids=["approval", "deadline", "steps"],
)
def test_a_replay_under_the_new_version_leads_to_the_very_state(new: Plan) -> None:
    run = waiting()
    instance = moved(run, new)
    events = [*run.recording().events, Migrated(run.now_ms, 2, "me")]
    replayed = replay(Recording(instance, events), new)
    assert replayed.same, replayed.difference
    assert replayed.instance == instance


def test_new_time_limits_take_the_place_of_the_old_ones() -> None:
    run = waiting()
    longer = changed(("approval_timeout: 10m", "approval_timeout: 20m"), ("max_duration: 1h", "max_duration: 2h"))
    instance = moved(run, longer)
    before, after = run.instance.steps["confirm"], instance.steps["confirm"]
    assert after.wake_at_ms - before.wake_at_ms == 10 * 60_000
    assert before.approval is not None
    assert after.approval is not None
    assert after.approval.timeout_at_ms - before.approval.timeout_at_ms == 10 * 60_000
    assert instance.deadline_ms - run.instance.deadline_ms == 3_600_000
    child = replace(run.instance, parent_id="00-parent")
    assert carried_over(child, instance).deadline_ms == child.deadline_ms


def test_large_values_stay_in_their_side_documents() -> None:
    run = waiting()
    side: Any = SideValue("ref", {"ok": True})
    state = replace(run.instance.steps["reserve"], result=side, result_ref="ref")
    stored = replace(run.instance, steps={**run.instance.steps, "reserve": state})
    instance = carried_over(stored, moved(run, changed(("name: tell", "name: thank"))))
    assert instance.steps["reserve"].result is side
    assert instance.steps["reserve"].result_ref == "ref"


def test_it_goes_on_to_its_end_and_a_replay_of_all_of_it_never_differs() -> None:
    run = waiting()
    new = changed(("name: tell, executor: mail, depends_on: [ship]", "name: thank, executor: mail"))
    instance = moved(run, new)
    events = [*run.recording().events, Migrated(run.now_ms, 2, "me")]
    now_ms = run.now_ms
    skip = SkipRequested(now_ms, "confirm", "me")
    instance = advance(instance, new, skip).instance
    events.append(skip)
    for path in ("ship", "thank"):
        claimed = Claimed(now_ms, path, 30_000, "w")
        instance = advance(instance, new, claimed).instance
        completed = Completed(now_ms, path, instance.tokens, {"done": path})
        instance = advance(instance, new, completed).instance
        events += [claimed, completed]
    assert instance.status == "succeeded"
    replayed = replay(Recording(instance, events), new)
    assert replayed.same, replayed.difference
