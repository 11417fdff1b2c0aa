"""Real definitions, from their start to their end; of the language page's own, with what follows from every event."""

from __future__ import annotations

from leasehold.claim.wire import ErrorInfo, Usage
from leasehold.core.machine import (
    AttemptEnded,
    Effect,
    LeaseEnded,
    LeaseExpired,
    StepReady,
    with_values,
)
from leasehold.definitions import Plan, load

from .runs import START_MS, Run

INVESTIGATION = """
name: ai-security-investigation
version: 2
max_duration: 5m
max_llm_calls: 20
steps:
  - {name: gather-context, executor: es-query, permissions: ["read:logs-*", "read:metrics-*"], timeout: 30s, retry: {max: 2, backoff: exponential}}
  - {name: analyze, executor: ai-reasoning, model: default, input: "{{ steps.gather-context.result }}", timeout: 60s}
  - {name: propose-remediation, executor: ai-reasoning, permissions: ["read:*"], input: "{{ steps.analyze.result }}"}
  - {name: apply-remediation, executor: action, permissions: ["write:cases-*"], requires_approval: true, approval_timeout: 24h}
"""  # noqa: E501  as the language page has it

TRIAGE = """
name: triage
version: 1
inputs: {host: {type: string}}
steps:
  - {name: count, executor: es-query, input: {index: "logs-{{ inputs.host }}", size: 0}}
  - name: report
    executor: render
    if: "{{ steps.count.result.hits > 0 }}"
    with: {template: "{{ inputs.host }} at {{ now }}"}
    input:
      first:
        "{{ steps.count.result.first }}"
outputs: {hits: "{{ steps.count.result.hits }}", report: "{{ steps.report.status }}"}
"""


def compiled(source: str) -> Plan:
    (definition,) = load(source)
    return definition.compile()


def told(effect: Effect) -> str:
    if isinstance(effect, StepReady):
        return f"ready {effect.path} for {effect.capability}: {effect.input}"
    if isinstance(effect, AttemptEnded):
        record = effect.record
        return f"attempt {record.path} {record.attempt} under {record.token} {record.outcome}: {effect.output}"
    if isinstance(effect, LeaseEnded):
        return f"lease {effect.path} under {effect.token} ended: {effect.reason}"
    return type(effect).__name__


def test_the_investigation_runs_from_its_start_to_its_end() -> None:
    run = Run(compiled(INVESTIGATION))
    story: list[str] = []

    def note(what: str) -> None:
        elapsed_ms = run.at_ms - run.instance.created_at_ms
        story.append(f"{elapsed_ms} {what} -> {run.status}")
        story.extend(f"    {told(effect)}" for effect in run.effects)
        run.at_ms += 1_000

    note("start")
    run.claim("gather-context")
    note("claim")
    run.fail("gather-context", "http.503", random=0.5)
    note("fail")
    run.fire()
    note("timer")
    run.claim("gather-context")
    note("claim")
    run.complete("gather-context", {"hits": 3})
    note("complete")
    token = run.claim("analyze")
    note("claim")
    run.apply(LeaseExpired(run.at_ms, "analyze", token))
    note("lease expired")
    run.claim("analyze")
    note("claim")
    run.complete("analyze", "suspicious", usage=Usage(llm_calls=12))
    note("complete")
    run.claim("propose-remediation")
    note("claim")
    run.complete("propose-remediation", ["block host"], usage=Usage(llm_calls=8))
    note("complete")
    run.decide("", True, comment="go ahead")
    note("approve")
    run.claim("apply-remediation")
    note("claim")
    run.complete("apply-remediation", {"blocked": 1})
    note("complete")

    assert story == [
        "0 start -> running",
        "    ready gather-context for es-query: None",
        "1000 claim -> running",
        "2000 fail -> running",
        "    attempt gather-context 1 under 1 failed: None",
        "3000 timer -> running",
        "    ready gather-context for es-query: None",
        "4000 claim -> running",
        "5000 complete -> running",
        "    attempt gather-context 2 under 2 succeeded: {'hits': 3}",
        "    ready analyze for ai-reasoning: {'hits': 3}",
        "6000 claim -> running",
        "7000 lease expired -> running",
        "    lease analyze under 3 ended: lease_lost: no heartbeat came within 30000 ms",
        "    attempt analyze 1 under 3 lease_lost: None",
        "    ready analyze for ai-reasoning: {'hits': 3}",
        "8000 claim -> running",
        "9000 complete -> running",
        "    attempt analyze 2 under 4 succeeded: suspicious",
        "    ready propose-remediation for ai-reasoning: suspicious",
        "10000 claim -> running",
        "11000 complete -> waiting",
        "    attempt propose-remediation 1 under 5 succeeded: ['block host']",
        "12000 approve -> running",
        "    ready apply-remediation for action: None",
        "13000 claim -> running",
        "14000 complete -> succeeded",
        "    attempt apply-remediation 1 under 6 succeeded: {'blocked': 1}",
        "    InstanceEnded",
    ]
    assert run.instance.usage == Usage(llm_calls=20)
    assert run.instance.tokens == 6
    assert {path: state.attempt for path, state in run.instance.steps.items()} == {
        "gather-context": 2,
        "analyze": 2,
        "propose-remediation": 1,
        "apply-remediation": 1,
    }


def test_a_definition_with_a_condition_and_outputs_runs_from_its_text() -> None:
    run = Run(compiled(TRIAGE), inputs={"host": "web-1"})
    assert run.effects == (StepReady("count", "es-query", START_MS, {"index": "logs-web-1", "size": 0}),)
    run.claim("count")
    run.complete("count", {"hits": 2, "first": {"level": "WARN"}})
    assert run.effects[-1] == StepReady("report", "render", START_MS, {"first": {"level": "WARN"}})
    assert with_values(run.instance, run.plan, "report") == {"template": "web-1 at 1970-01-01T00:16:40.000Z"}
    run.claim("report")
    run.complete("report")
    assert (run.status, run.instance.outputs) == ("succeeded", {"hits": 2, "report": "succeeded"})


def test_a_step_that_a_condition_skips_shows_in_the_outputs() -> None:
    run = Run(compiled(TRIAGE), inputs={"host": "web-1"})
    run.claim("count")
    run.complete("count", {"hits": 0})
    assert (run.status, run.instance.outputs) == ("succeeded", {"hits": 0, "report": "skipped"})


def test_a_template_that_fails_names_its_place_and_line_in_the_text() -> None:
    run = Run(compiled(TRIAGE), inputs={"host": "web-1"})
    run.claim("count")
    run.complete("count", {"hits": 1})
    assert run.instance.error == ErrorInfo(
        "template", "step 'report' failed: template at steps[1].input.first, line 13: there is no `first`"
    )
