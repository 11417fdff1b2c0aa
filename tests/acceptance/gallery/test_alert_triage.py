"""Triage: the model decides, an analyst decides, the budget decides."""

from __future__ import annotations

from typing import Any

from leasehold.core.testing import Delivery, Failure, Run, StubStep, Takes, Usage, play

from .stubs import EXAMPLES, Indexed, Search, hits

ALERT = {"alert": {"id": "A-1"}, "hosts": ["web-1", "web-2", "web-1"]}


def triage(reasons: Any, indexed: Indexed, *found: dict[str, Any], action: Any = None) -> Run:
    def recent(payload: dict[str, Any]) -> Any:
        host = payload["query"]["bool"]["filter"][0]["term"]["host.name"]
        return hits({"host": host}) if host != "web-2" else Failure("es.404", "no such index", retryable=False)

    return play(
        EXAMPLES / "alert-triage.yaml",
        params={"alert_id": "A-1"},
        executors={
            "es-query": Search({"alerts-*": hits(*found), "logs-*": recent}),
            "es-index": indexed,
            "ai-reasoning": reasons,
            "action": action or {"ok": True},
        },
    )


def verdict(word: str, sure: float) -> Delivery:
    return Delivery({"verdict": word, "sure": sure, "why": "because"}, usage=Usage(llm_calls=1, llm_tokens=900))


def test_a_benign_alert_is_closed_by_the_model() -> None:
    indexed, asked = Indexed(), []

    def reason(step: StubStep) -> Any:
        asked.append(step.payload)
        return verdict("benign", 0.95)

    run = triage(reason, indexed, ALERT)
    run.until_done()
    assert (run.status, run.outputs) == ("succeeded", {"verdict": "benign", "decided_by": "model"})
    assert indexed.documents[0]["why"] == "because"
    (payload,) = asked
    assert [one and one["total"] for one in payload["evidence"]] == [1, None]
    assert [failure["index"] for failure in payload["not_seen"]] == [1]
    assert run.usage == Usage(llm_calls=1, llm_tokens=900, cost=0.02)


def test_a_malicious_alert_isolates_once_the_lead_agrees() -> None:
    done: list[Any] = []
    run = triage(verdict("malicious", 0.9), Indexed(), ALERT, action=lambda step: done.append(step.payload))
    run.approve(by="lena", roles=["soc-lead"])
    run.until_done()
    assert (run.status, run.outputs["verdict"]) == ("succeeded", "malicious")
    assert done == [{"action": "isolate", "hosts": ALERT["hosts"], "why": "because"}]


def test_what_the_model_is_not_sure_of_an_analyst_decides_with_a_signal() -> None:
    run = triage(verdict("malicious", 0.3), Indexed(), ALERT)
    run.advance(hours=30)
    run.signal("verdict", {"verdict": "benign", "by": "ada"}, by="ada")
    run.until_done()
    assert (run.status, run.outputs) == ("succeeded", {"verdict": "benign", "decided_by": "ada"})


def test_without_a_model_an_analyst_decides() -> None:
    run = triage(Failure("ai.refused", "no", retryable=False), Indexed(), ALERT)
    run.signal("verdict", {"verdict": "malicious"})
    run.until_done()
    assert run.outputs == {"verdict": "malicious", "decided_by": "somebody"}
    assert run.steps["reason"].handled


def test_an_analyst_who_says_nothing_for_two_days_fails_it() -> None:
    run = triage(verdict("malicious", 0.3), Indexed(), ALERT)
    run.until_done()
    assert (run.status, run.error.type if run.error else "") == ("failed", "timeout")
    assert run.elapsed_ms == 2 * 24 * 3_600_000


def test_a_model_that_thinks_beyond_the_budget_is_stopped_by_its_name() -> None:
    told: list[Any] = []

    def reason(step: StubStep) -> Any:
        for tokens in range(20_000, 100_000, 20_000):
            yield "10s"
            answer = step.heartbeat(usage=Usage(llm_calls=1, llm_tokens=tokens))
            if answer.cancel:
                told.append(tokens)
                return None
        return verdict("benign", 1)

    run = triage(reason, Indexed(), ALERT)
    run.until_done()
    assert (run.status, run.error.type if run.error else "") == ("failed", "budget.llm_tokens")
    assert told == [80_000]


def test_a_model_that_takes_too_long_is_asked_again() -> None:
    run = triage([Takes("5m", None), verdict("benign", 1)], Indexed(), ALERT)
    run.until_done()
    assert [attempt.outcome for attempt in run.attempts("reason")] == ["timed_out", "succeeded"]
    assert run.outputs["verdict"] == "benign"


def test_an_alert_that_is_gone_needs_no_model() -> None:
    run = triage(Failure("never", "asked"), Indexed())
    run.until_done()
    assert (run.status, run.outputs, run.usage.llm_calls) == ("succeeded", {"verdict": "gone"}, 0)
