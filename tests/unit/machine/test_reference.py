from __future__ import annotations

from pathlib import Path

from leasehold.core.machine import FINAL_INSTANCE, FINAL_STEP, INSTANCE_MOVES, STEP_MOVES, InstanceStatus, StepStatus
from leasehold.core.machine.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "state-machine.md"


def test_the_reference_page_is_what_the_table_draws() -> None:
    assert PAGE.read_text() == reference(), (
        "run: python -m leasehold.core.machine.reference > docs/reference/state-machine.md"
    )


def test_no_move_leads_out_of_a_final_status() -> None:
    assert not any(move.sources & FINAL_STEP for move in STEP_MOVES)
    assert not any(move.sources & FINAL_INSTANCE for move in INSTANCE_MOVES)


def test_every_step_status_can_be_reached_and_left_unless_it_is_final() -> None:
    assert {move.target for move in STEP_MOVES} == set(StepStatus) - {StepStatus.PENDING}
    assert set().union(*(move.sources for move in STEP_MOVES)) == set(StepStatus) - FINAL_STEP


def test_every_instance_status_of_this_release_can_be_reached() -> None:
    to_come = {InstanceStatus.PAUSED, InstanceStatus.CANCELLING}
    assert {move.target for move in INSTANCE_MOVES} == set(InstanceStatus) - to_come
