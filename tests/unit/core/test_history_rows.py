"""History rows say what happened, under the names that docs/history.md lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from leasehold.claim.wire import Call, ErrorInfo, Usage
from leasehold.core.history_rows import (
    InstanceRow,
    StepRow,
    events_row,
    instance_of_row,
    instance_row,
    step_row,
    stripped_row,
)
from leasehold.core.machine.events import AttemptRecord
from leasehold.core.machine.state import Approval, Instance, InstanceStatus, SideValue, StepState, StepStatus
from leasehold.core.machine.times import Times, Waits
from leasehold.ilm import instances, steps, trail

AT_MS = 1_767_225_600_123

INSTANCE = Instance(
    id="00-1",
    workflow="log-triage",
    version=3,
    definition_tenant="acme",
    tenant="acme",
    space="ops",
    status=InstanceStatus.FAILED,
    created_at_ms=AT_MS,
    finished_at_ms=AT_MS + 900,
    inputs={"index": "logs"},
    trigger={"by": "alert"},
    outputs={"report": "# Title\nFirst line"},
    error=ErrorInfo("timeout", "too slow"),
    usage=Usage(llm_calls=2, llm_tokens=100, cost=0.5),
    labels={"team": "sre"},
    started_by="ada",
    correlation_id="c-1",
    parent_id="00-0",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    times=Times(40, 700, Waits(wait_ms=5, asked=((AT_MS, AT_MS + 100), (AT_MS + 200, AT_MS + 300)), between_ms=50)),
    steps={"query": StepState(status=StepStatus.SUCCEEDED, result=[1], approval=Approval(form={"why": "x"}))},
)
RECORD = AttemptRecord(
    path="query",
    step="query",
    executor="es-query",
    attempt=2,
    token=7,
    outcome="failed",
    worker="worker-1",
    activated_at_ms=AT_MS,
    ready_at_ms=AT_MS + 100,
    started_at_ms=AT_MS + 150,
    finished_at_ms=AT_MS + 400,
    error=ErrorInfo("http.503", "unavailable"),
    usage=Usage(llm_calls=1),
    calls=(Call("search", duration_ms=5),),
)


def leaves(properties: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, spec in properties.items():
        if "properties" in spec:
            yield from leaves(spec["properties"], f"{prefix}{name}.")
        else:
            yield prefix + name


def keys(row: dict[str, Any], mapped: set[str], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        path = prefix + name
        if isinstance(value, dict) and path not in mapped:
            yield from keys(value, mapped, path + ".")
        else:
            yield path


def test_a_step_row_says_what_ran_when_and_how_it_went() -> None:
    row = msgspec.json.decode(step_row(INSTANCE, RECORD, {"q": "level:warn"}, {"lines": "one\ntwo"}))

    assert row == {
        "@timestamp": "2026-01-01T00:00:00.523000Z",
        "workflow": {"id": "00-1", "name": "log-triage", "version": 3},
        "step": {
            "name": "query",
            "path": "query",
            "attempt": 2,
            "capability": "es-query",
            "outcome": "failed",
            "ready_at": "2026-01-01T00:00:00.223000Z",
            "started_at": "2026-01-01T00:00:00.273000Z",
            "finished_at": "2026-01-01T00:00:00.523000Z",
            "duration_ms": 250,
            "queue_ms": 50,
            "input": '{"q":"level:warn"}',
            "output": '{"lines":"one\\ntwo"}',
            "output_lines": '{"lines":"one\ntwo"}',
        },
        "tenant": "acme",
        "space": "ops",
        "event": {"outcome": "failure"},
        "worker": "worker-1",
        "labels": ["team=sre"],
        "correlation_id": "c-1",
        "error": {"type": "http.503", "message": "unavailable"},
        "usage": {"llm_calls": 1},
        "trace": {"id": "0af7651916cd43dd8448eb211c80319c"},
        "calls": [{"name": "search", "duration_ms": 5}],
        "stored_bytes": len('{"q":"level:warn"}{"lines":"one\\ntwo"}'),
    }


def test_an_attempt_that_a_decision_let_begin_says_how_long_that_took() -> None:
    record = msgspec.structs.replace(RECORD, human_wait_ms=60_000)

    assert msgspec.json.decode(step_row(INSTANCE, record, None, None))["step"]["human_wait_ms"] == 60_000


def test_an_instance_waits_for_people_no_longer_than_it_lives() -> None:
    times = Times(waits=Waits(asked=((AT_MS - 5_000, AT_MS + 900),)))
    row = msgspec.json.decode(instance_row(msgspec.structs.replace(INSTANCE, times=times), [], 0))

    assert (row["human_wait_ms"], row["net_duration_ms"]) == (900, 0)


def test_stored_bytes_are_those_of_the_texts_in_utf_8() -> None:
    row = msgspec.json.decode(step_row(INSTANCE, RECORD, {"who": "Zoë"}, None))

    assert row["stored_bytes"] == len(row["step"]["input"].encode()) == 14


def test_an_attempt_that_was_never_claimed_has_no_start_and_no_duration() -> None:
    record = msgspec.structs.replace(RECORD, started_at_ms=0, outcome="cancelled", worker="")

    row = msgspec.json.decode(step_row(INSTANCE, record, None, None))

    assert not row["step"].keys() & {"started_at", "duration_ms", "queue_ms", "input", "output"}
    assert "worker" not in row
    assert row["event"] == {"outcome": "unknown"}


@pytest.mark.parametrize(
    ("outcome", "expected"), [("succeeded", "success"), ("timed_out", "failure"), ("lease_lost", "failure")]
)
def test_outcomes_have_their_name_in_the_common_schema(outcome: Any, expected: str) -> None:
    record = msgspec.structs.replace(RECORD, outcome=outcome)

    assert msgspec.json.decode(step_row(INSTANCE, record, None, None), type=StepRow).event.outcome == expected


@pytest.mark.parametrize("payload", [0, "", False, [], {}, "text", 1.5, {"a": None}])
def test_payloads_of_any_shape_are_json_text(payload: Any) -> None:
    row = msgspec.json.decode(step_row(INSTANCE, RECORD, payload, SideValue("ref", payload)))

    assert msgspec.json.decode(row["step"]["input"]) == payload
    assert msgspec.json.decode(row["step"]["output"]) == payload


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-short-b7ad6b7169203331-01"])
def test_what_is_no_traceparent_gives_no_trace(traceparent: str | None) -> None:
    instance = msgspec.structs.replace(INSTANCE, traceparent=traceparent)

    assert msgspec.json.decode(step_row(instance, RECORD, None, None), type=StepRow).trace is None


def test_an_instance_row_holds_the_whole_final_state_and_its_log() -> None:
    encoded = instance_row(INSTANCE, [b'["started",1]', b'["claimed",2]'], 4)

    row = msgspec.json.decode(encoded)
    assert instance_of_row(encoded) == INSTANCE
    assert (row["log"], row["log_parts"]) == ([["started", 1], ["claimed", 2]], 4)
    assert (row["status"], row["event"], row["duration_ms"]) == ("failed", {"outcome": "failure"}, 900)
    assert (row["queue_ms"], row["run_ms"], row["wait_ms"]) == (40, 700, 5)
    assert (row["human_wait_ms"], row["net_duration_ms"]) == (150, 750)
    assert (row["inputs"], row["outputs"]) == ('{"index":"logs"}', '{"report":"# Title\\nFirst line"}')
    assert row["outputs_lines"] == '{"report":"# Title\nFirst line"}'
    assert (row["started_by"], row["parent_id"]) == ("ada", "00-0")


def test_an_instance_row_holds_side_values_in_full_and_names_no_side_document() -> None:
    state = StepState(status=StepStatus.SUCCEEDED, result=SideValue("00-1:query", {"big": 1}), result_ref="00-1:query")
    instance = msgspec.structs.replace(
        INSTANCE, steps={"query": state}, inputs=SideValue("00-1:inputs", {"in": 2}), inputs_ref="00-1:inputs"
    )

    found = instance_of_row(instance_row(instance, [], 0))

    assert (found.inputs, found.inputs_ref) == ({"in": 2}, None)
    assert (found.steps["query"].result, found.steps["query"].result_ref) == ({"big": 1}, None)


def test_a_part_of_the_log_is_the_same_row_whenever_it_is_built() -> None:
    row = msgspec.json.decode(events_row(INSTANCE, 2, [b'["started",1]']))

    assert row == {
        "@timestamp": "2026-01-01T00:00:00.123000Z",
        "workflow": {"id": "00-1", "name": "log-triage", "version": 3},
        "tenant": "acme",
        "space": "ops",
        "part": 2,
        "log": [["started", 1]],
    }


def test_a_stripped_row_keeps_what_happened_and_drops_what_users_sent() -> None:
    step = msgspec.json.decode(stripped_row(step_row(INSTANCE, RECORD, {"q": 1}, "a\nb")), type=StepRow)
    encoded = stripped_row(instance_row(INSTANCE, [b"[1]"], 0))
    row = msgspec.json.decode(encoded, type=InstanceRow)
    instance = instance_of_row(encoded)

    assert (step.stripped, step.step.input, step.step.output, step.step.output_lines, step.calls) == (
        True,
        None,
        None,
        None,
        (),
    )
    assert (step.step.attempt, step.error) == (2, ErrorInfo("http.503", "unavailable"))
    assert (row.stripped, row.inputs, row.outputs, row.log) == (True, None, None, None)
    assert (instance.inputs, instance.trigger, instance.outputs) == ({}, {}, None)
    assert instance.steps["query"].status is StepStatus.SUCCEEDED
    assert instance.steps["query"].result is None


def test_every_key_of_a_row_is_a_mapped_field() -> None:
    step = step_row(INSTANCE, RECORD, "a\nb", "a\nb")
    for row, fields in (
        (stripped_row(step), steps.FIELDS),
        (step, steps.FIELDS),
        (instance_row(INSTANCE, [b"[1]"], 1), instances.FIELDS),
        (events_row(INSTANCE, 1, [b"[1]"]), trail.EVENTS),
    ):
        mapped = set(leaves(fields))
        assert set(keys(msgspec.json.decode(row), mapped)) <= mapped
