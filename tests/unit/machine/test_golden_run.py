"""The definition at the foot of the language page, from its start to its end, with what follows from every event."""

from __future__ import annotations

from leasehold.claim.wire import Usage
from leasehold.core.machine import (
    AttemptEnded,
    Effect,
    LeaseEnded,
    LeaseExpired,
    StepReady,
)
from leasehold.definitions.plan import ApprovalPolicy, Plan, RetryPolicy

from .runs import Computed, Run, plan, step


def investigation() -> Plan:
    """`ai-security-investigation`, compiled by hand."""
    return plan(
        step(
            "gather-context",
            executor="es-query",
            permissions=("read:logs-*", "read:metrics-*"),
            timeout_ms=30_000,
            retry=RetryPolicy(max_retries=2),
        ),
        step(
            "analyze",
            "gather-context",
            executor="ai-reasoning",
            static_with={"model": "default"},
            input=Computed(lambda context: context["steps"]["gather-context"]["result"]),
            timeout_ms=60_000,
        ),
        step(
            "propose-remediation",
            "analyze",
            executor="ai-reasoning",
            input=Computed(lambda context: context["steps"]["analyze"]["result"]),
        ),
        step(
            "apply-remediation",
            "propose-remediation",
            executor="action",
            approval=ApprovalPolicy(timeout_ms=86_400_000),
        ),
        max_duration_ms=300_000,
        max_llm_calls=20,
    )


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
    run = Run(investigation())
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
