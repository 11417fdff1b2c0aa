"""The rows that the benchmark writes into history are what the engine would have written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from leasehold.bench.load.history.rows import BLOCK, RARE_WORD, TENANTS, Finished, finished_rows
from leasehold.core.history_rows import instance_of_row, instance_row
from leasehold.core.ids import lane_of

FROM_MS, TO_MS = 1_790_000_000_000, 1_790_600_000_000
SEEDS = list(finished_rows(20 * BLOCK, first=50, from_ms=FROM_MS, to_ms=TO_MS, seed="s"))


def rows_of(seed: Finished) -> tuple[dict[str, Any], dict[str, Any]]:
    return msgspec.json.decode(seed.row), msgspec.json.decode(seed.step_row)


def test_every_seed_is_an_instance_of_its_own_and_both_rows_are_about_it() -> None:
    assert len({seed.id for seed in SEEDS}) == len(SEEDS)
    numbers = []
    for seed in SEEDS:
        row, step = rows_of(seed)
        assert lane_of(seed.id) is not None
        assert row["workflow"] == step["workflow"] == {"id": seed.id, "name": seed.traits.workflow, "version": 1}
        assert seed.step_id == f"{seed.id}:{step['step']['path']}:{step['step']['attempt']}"
        inputs = msgspec.json.decode(row["inputs"])
        assert msgspec.json.decode(step["step"]["input"]) == inputs
        assert (RARE_WORD in inputs["message"]) == seed.rare
        numbers.append(inputs["n"])
    assert numbers == list(range(50, 50 + len(SEEDS)))


def test_a_row_is_the_one_that_is_made_of_the_instance_that_stands_in_it() -> None:
    for seed in SEEDS:
        row, step = rows_of(seed)
        instance = instance_of_row(seed.row)
        assert instance_row(instance, [msgspec.json.encode(event) for event in row["log"]], 0) == seed.row
        assert (instance.id, instance.created_at_ms) == (seed.id, seed.created_ms)
        assert (instance.workflow, instance.tenant, instance.status.value) == (
            seed.traits.workflow,
            seed.traits.tenant,
            seed.traits.status,
        )
        assert row["labels"] == step["labels"] == [f"team={seed.traits.team}"]


def test_the_times_of_a_steps_row_agree_with_each_other() -> None:
    for seed in SEEDS:
        step = rows_of(seed)[1]["step"]
        finished, started, ready = (ms_of(step[name]) for name in ("finished_at", "started_at", "ready_at"))
        assert (finished - started, started - ready, ready) == (step["duration_ms"], step["queue_ms"], seed.created_ms)


def test_they_come_in_the_order_of_their_starts_and_differ_in_what_is_searched_for() -> None:
    times = [seed.created_ms for seed in SEEDS]
    assert times == sorted(times)
    assert (times[0], times[-1] < TO_MS) == (FROM_MS, True)
    traits = [seed.traits for seed in SEEDS]
    assert {trait.status for trait in traits} == {"succeeded", "failed", "cancelled"}
    assert (
        sum(trait.tenant == TENANTS[0] for trait in traits) > sum(trait.tenant == TENANTS[-1] for trait in traits) > 0
    )
    assert 0 < sum(seed.rare for seed in SEEDS) < len(SEEDS) / 20


def ms_of(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1_000)
