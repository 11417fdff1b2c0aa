"""`leasehold instances list` and `audit list` at the width of a terminal: nothing of a line is cut off or broken up."""

from __future__ import annotations

import pytest
from leasehold.claim.wire import ErrorInfo
from leasehold.claim.wire.audit import AuditEntry
from leasehold.claim.wire.search import FoundInstance, FoundTotal, InstanceList
from leasehold.core.app.commands.audit import _row
from leasehold.core.app.commands.listing import _show

INSTANCE_ID = "03-01a20127e3672cc7ccd74096d29c"


def page(**fields: object) -> InstanceList:
    usual = {
        "instance_id": INSTANCE_ID, "workflow": "triage", "version": 3, "tenant": "acme", "space": "soc",
        "status": "terminated", "created_at_ms": 1_767_225_600_000, "duration_ms": 4_200,
    }  # fmt: skip
    return InstanceList(instances=[FoundInstance(**usual | fields)], total=FoundTotal(value=1, relation="eq"))  # type: ignore[arg-type]


def test_a_line_is_whole_in_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _show(page(), as_json=False)
    line, counted = capsys.readouterr().out.splitlines()
    assert line == f"{INSTANCE_ID}  2026-01-01 00:00:00Z  terminated  triage, 4200 ms"
    assert len(line) <= 85
    assert counted == "1 of 1"


def test_an_error_is_a_line_of_its_own_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    error = ErrorInfo(type="http.503", message="down\n[red]1 of 99\x1b[0m " + "and down " * 20)
    _show(page(status="failed", error=error), as_json=False)
    _, why, counted = capsys.readouterr().out.splitlines()
    assert why.startswith("  http.503: down [red]1 of 99 [0m and down and down")
    assert counted == "1 of 1"


def test_a_row_of_the_trail_says_what_it_is_about_and_its_reason_comes_next() -> None:
    row = AuditEntry(
        id="policy:audit:1:2", at="2026-01-01T00:00:00.000Z", action="change_policy", outcome="success", user="ann",
        address="127.0.0.1", tenant="*", reason="kept\nless long", details={"family": "audit"},
    )  # fmt: skip
    first, reason = _row(row).splitlines()
    assert first == "2026-01-01T00:00:00.000Z  change_policy  policy of audit  ann from 127.0.0.1"
    assert reason == "  kept less long"
