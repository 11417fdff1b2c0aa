"""`leasehold ilm status`: what somebody has to do something about stands first."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.claim.wire.lifecycle import AgeingIndex, LastPass, LifecycleView, PolicyView
from leasehold.core.app.commands.ageing import show_status
from leasehold.ilm.policies import default_policy

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PASSED = LastPass(at_ms=NOW_MS - 12_000, replica="replica-a")
STEPS = PolicyView(
    family="steps",
    source="default",
    policy=default_policy("steps").document(),
    revision=0,
    retention_ms=30 * DAY_MS,
)


def view(**fields: Any) -> LifecycleView:
    usual: dict[str, Any] = {
        "backend": "ager",
        "run_on_a_server": True,
        "now_ms": NOW_MS,
        "every_ms": 60_000,
        "last_pass": PASSED,
        "findings": [],
        "policies": [STEPS],
        "indices": [],
    }
    return LifecycleView(**usual | fields)


def index(number: int, **fields: Any) -> AgeingIndex:
    usual: dict[str, Any] = {
        "index": f"workflow-steps-{number:06d}",
        "family": "steps",
        "phase": "warm",
        "writes": False,
        "rolled": True,
        "age_ms": 3 * DAY_MS + 4 * HOUR_MS,
        "docs": 1_234_567,
        "bytes": 2_500_000_000,
        "done": [],
    }
    return AgeingIndex(**usual | fields)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "200")

    def lines(of: LifecycleView) -> list[str]:
        show_status(of)
        return capsys.readouterr().out.splitlines()

    return lines


def test_when_all_is_well_nothing_is_marked(shown: Any) -> None:
    first, steps, *table = shown(view(indices=[index(1, next="delete", next_at_ms=NOW_MS + 2 * DAY_MS)]))
    assert first == "carried out by this release's own ager, tested on real servers; last pass 12s ago by replica-a"
    assert steps == "steps: the default; records are deleted 30d after roll-over"
    (row,) = (line for line in table if "000001" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "workflow-steps-000001",
        "warm",
        "3d 4h",
        "1,234,567",
        "2.5 GB",
        "delete in 2d",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"last_pass": None}, "! no replica has seen to the ageing yet"),
        ({"last_pass": LastPass(at_ms=NOW_MS - 301_000, replica="a")}, "! the last pass was 5m 1s ago, and one is due"),
        ({"last_pass": LastPass(at_ms=NOW_MS, replica="a", error="no")}, "! the last pass, 0s ago, failed: no"),
        ({"findings": ["a full disk"]}, "! a full disk"),
        ({"indices": [index(1), index(2, error="stuck")]}, "! workflow-steps-000002: stuck"),
    ],
)
def test_what_is_wrong_is_the_first_line(shown: Any, wrong: dict[str, Any], said: str) -> None:
    assert shown(view(**wrong))[0].startswith(said)


def test_an_index_that_failed_stands_above_those_that_did_not(shown: Any) -> None:
    rows = [line for line in shown(view(indices=[index(1), index(2, error="stuck")])) if "workflow-steps" in line]
    assert ["000002: stuck" in rows[0], "FAILED" in rows[1], "000001" in rows[2]] == [True, True, True]


def test_it_says_which_backend_has_never_run_on_a_server_and_what_is_left_out(shown: Any) -> None:
    left_out = "frozen.searchable_snapshot: only ILM mounts snapshots"
    indices = [index(1, not_carried_out=[left_out]), index(2, not_carried_out=[left_out])]
    lines = shown(view(backend="ilm", run_on_a_server=False, indices=indices))
    assert "NEVER run on a real server" in lines[0]
    assert lines[-1] == f"not carried out of steps: {left_out}"
    assert sum(left_out in line for line in lines) == 1


def test_a_policy_that_is_not_obeyed_says_so(shown: Any) -> None:
    broken = PolicyView(
        family="audit", source="document", policy=None, revision=3, retention_ms=None, error="it is broken"
    )
    assert "audit: NOT VALID: it is broken" in shown(view(policies=[broken]))


def test_what_is_due_or_under_way_has_a_line_below_the_table_and_an_index_is_never_broken_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_status(view(indices=[index(1, due=["warm.readonly", "warm.forcemerge"]), index(2, under_way="merging")]))
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [
        "due: workflow-steps-000001: warm.readonly, warm.forcemerge",
        "under way: workflow-steps-000002: merging",
    ]
    assert any("│ workflow-steps-000001 │" in line for line in out)
