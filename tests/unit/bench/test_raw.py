"""What the raw scenario tries."""

from __future__ import annotations

import pytest
from leasehold.bench.scenarios import raw


@pytest.mark.parametrize("plan", [raw.FULL, raw.QUICK])
def test_several_bulk_sizes_and_connection_counts_are_tried_and_each_once(plan: raw.Plan) -> None:
    assert len({batch for batch, _ in plan.combinations}) >= 3
    assert len({connections for _, connections in plan.combinations}) >= 2
    assert len(set(plan.combinations)) == len(plan.combinations)
    assert all(plan.documents >= batch * connections for batch, connections in plan.combinations)


def test_a_warm_up_goes_on_while_passes_get_faster() -> None:
    assert not raw.levelled_off([10.0] * 9)
    assert not raw.levelled_off([float(speed) for speed in range(10, 40)])
    assert raw.levelled_off([10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 60.0, 60.0, 60.0, 60.0, 62.0, 58.0, 61.0, 60.0, 62.0])


def test_one_slow_pass_does_not_end_a_warm_up() -> None:
    assert not raw.levelled_off([10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 1.0, 70.0, 80.0, 90.0])
