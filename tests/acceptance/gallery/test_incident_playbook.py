"""The playbook with every decision: approved, rejected, not made in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from leasehold.core.testing import NotApplied, Run, StubStep, play

from .stubs import EXAMPLES, Indexed, Search, Services, hits

HOUR_MS = 3_600_000
PARAMS = {"incident": "INC-7", "host": "web-1", "severity": "critical"}


class Incident:
    """A playbook under way: `looks` are how many alerts each look finds, the last one for ever."""

    def __init__(self, *looks: int, reimage: Callable[[StubStep], Any] | Any = None) -> None:
        self.services, self.indexed = Services(), Indexed()
        self.done: list[str] = []
        self._looks = list(looks or (0,))
        search = Search({"logs-auth-*": hits({"user": "eve"}), "alerts-*": self._alerts})
        self.run = play(
            EXAMPLES / "incident-playbook.yaml",
            params=PARAMS,
            executors={"es-query": search, "es-index": self.indexed, "http": self.services, "action": self._act},
        )

    def _alerts(self, payload: dict[str, Any]) -> Any:
        if payload["size"] > 0:
            return hits({"rule": "malware"}, {"rule": "beacon"})
        return hits(total=self._looks.pop(0) if len(self._looks) > 1 else self._looks[0])

    def _act(self, step: StubStep) -> Any:
        self.done.append(f"{step.payload['action']} {step.payload['host']}")
        return {"ok": True}

    def approve_isolation(self) -> Run:
        self.run.approve("isolate", by="lena", roles=["soc-lead"], form={"ticket": "CHG-1"})
        return self.run


def test_an_incident_is_worked_through_with_every_approval_given() -> None:
    incident = Incident(3, 1, 0)
    run = incident.approve_isolation()
    run.approve("tell-owner")
    run.until(lambda run: "reimage" in run.steps and run.steps["reimage"].status == "waiting")
    assert run.elapsed_ms == 3 * HOUR_MS // 2
    run.approve("reimage", by="paul", roles=["platform"])
    run.until_done()
    assert (run.status, run.outputs) == ("succeeded", {"reimaged": True})
    assert incident.done == ["isolate web-1", "reimage web-1"]
    (document,) = incident.indexed.documents
    assert (document["_id"], document["reimaged"], len(document["alerts"])) == ("INC-7", True, 2)
    assert incident.services.asked[0][2]["text"] == "2 alerts on web-1"


def test_isolation_that_is_rejected_fails_the_playbook_and_pages() -> None:
    incident = Incident()
    run = incident.run
    run.reject("isolate", by="lena", roles=["soc-lead"], comment="this is the honeypot", form={"ticket": "CHG-1"})
    run.until_done()
    assert run.status == "failed"
    assert (incident.done, incident.services.addresses()[-1]) == ([], "POST /events")
    assert "isolate" in incident.services.asked[-1][2]["text"]


def test_isolation_that_nobody_decides_on_fails_after_fifteen_minutes() -> None:
    incident = Incident()
    run = incident.run
    run.until_done()
    assert (run.status, run.elapsed_ms, incident.done) == ("failed", HOUR_MS // 4, [])
    assert len(incident.services.asked) == 2


def test_only_the_lead_may_isolate_and_only_with_a_ticket() -> None:
    incident = Incident()
    with pytest.raises(NotApplied) as refused:
        incident.run.approve("isolate", by="eve")
    assert refused.value.reason == "forbidden"


def test_the_owner_is_told_where_nobody_objects_and_not_told_where_somebody_does() -> None:
    silent = Incident()
    run = silent.approve_isolation()
    run.advance(minutes=10)
    assert silent.services.addresses()[-1] == "POST /send"
    objected = Incident()
    run = objected.approve_isolation()
    run.reject("tell-owner", by="lena")
    run.advance(minutes=10)
    assert objected.services.addresses()[-1] == "POST /events"
    assert run.status in ("running", "waiting")


def test_reimaging_is_skipped_where_nobody_agrees_within_a_day() -> None:
    incident = Incident()
    run = incident.approve_isolation()
    run.until_done()
    assert (run.status, run.outputs) == ("succeeded", {"reimaged": False})
    assert (run.steps["reimage"].status, incident.done) == ("skipped", ["isolate web-1"])
    assert run.elapsed_ms == (10 + 30 + 24 * 60) * 60_000


def test_a_host_that_never_gets_quiet_fails_loudly_and_is_released() -> None:
    incident = Incident(5)
    run = incident.approve_isolation()
    run.until_done()
    assert (run.status, run.error.type if run.error else "") == ("failed", "max_iterations")
    assert incident.done == ["isolate web-1", "release web-1"]
    assert run.instance.undone == "succeeded"


def test_a_cancelled_playbook_releases_the_host_and_writes_that_down() -> None:
    incident = Incident(5)
    run = incident.approve_isolation()
    run.advance(hours=2)
    run.cancel(by="lena", reason="false alarm")
    run.until_done()
    assert run.status == "cancelled"
    assert incident.done == ["isolate web-1", "release web-1"]
    assert incident.indexed.documents[0]["cancelled_at"]
