"""The waiting instances that the benchmark writes into lanes are what the engine would have written."""

from __future__ import annotations

from leasehold.bench.load.documents import STEP
from leasehold.bench.load.orders import Backlog
from leasehold.bench.load.seeds import BLOCK, tenants_documents, waiting_documents
from leasehold.core.ids import lane_of
from leasehold.core.lanes import codec
from leasehold.core.machine.state import StepStatus


def test_every_seed_is_an_instance_of_its_own_whose_step_is_ready() -> None:
    count = BLOCK + 2
    seeds = dict(waiting_documents(count, lane="02", workflow="w", capability="c", first=50))
    assert len(seeds) == count
    write_ids, numbers = set(), []
    for id, source in seeds.items():
        instance, bookkeeping = codec.decode_document(source)
        assert instance.id == id
        assert lane_of(id) == "02"
        assert instance.steps[STEP].status is StepStatus.READY
        assert b'"ready":["c"],"rank":' in source
        write_ids.add(bookkeeping.write_id)
        numbers.append(instance.inputs["n"])
    assert len(write_ids) == count
    assert sorted(numbers) == list(range(50, 50 + count))


def test_several_tenants_have_about_as_many_each() -> None:
    counts: dict[str, int] = {}
    for _, source in waiting_documents(100, lane="00", workflow="w", capability="c", tenants=10):
        tenant = codec.decode_document(source)[0].tenant
        counts[tenant] = counts.get(tenant, 0) + 1
    assert counts == {f"tenant-{number}": 10 for number in range(10)}


def test_backlogs_of_several_tenants_became_ready_side_by_side() -> None:
    backlogs = [Backlog("light", 30, 0), Backlog("heavy", 300, 1_000), Backlog("idle", 0, 2_000)]
    ranks: dict[str, list[int]] = {}
    numbers: dict[str, list[int]] = {}
    for _, source in tenants_documents(backlogs, lane="01", workflow="w", capability="c", ready_ms=5_000):
        instance, _ = codec.decode_document(source)
        ranks.setdefault(instance.tenant, []).append(instance.steps[STEP].ready_at_ms)
        numbers.setdefault(instance.tenant, []).append(instance.inputs["n"])
    assert numbers == {"light": list(range(30)), "heavy": list(range(1_000, 1_300))}
    assert set(ranks["light"]) == set(ranks["heavy"])
    assert min(ranks["light"]) == 5_000
    assert ranks["heavy"][150] == ranks["light"][15]
