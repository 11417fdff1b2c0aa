from __future__ import annotations

from pathlib import Path

from leasehold.core.machine import FINAL_INSTANCE, FINAL_STEP, INSTANCE_MOVES, STEP_MOVES, InstanceStatus, StepStatus
from leasehold.core.machine.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "state-machine.md"


def test_the_reference_page_is_what_the_table_draws() -> None:
    assert PAGE.read_text() == reference(), (
        "run: python -m leasehold.core.machine.reference > docs/reference/state-machine.md"
    )


def test_only_doing_it_again_leads_out_of_a_final_status() -> None:
    assert [move.cause for move in STEP_MOVES if move.sources & FINAL_STEP] == ["reset"]
    assert [move.cause for move in INSTANCE_MOVES if move.sources & FINAL_INSTANCE] == ["re-drive"]


def test_every_status_can_be_reached_and_left() -> None:
    assert {move.target for move in STEP_MOVES} == set(StepStatus)
    assert set().union(*(move.sources for move in STEP_MOVES)) == set(StepStatus)
    assert {move.target for move in INSTANCE_MOVES} == set(InstanceStatus)
    assert set().union(*(move.sources for move in INSTANCE_MOVES)) == set(InstanceStatus)
