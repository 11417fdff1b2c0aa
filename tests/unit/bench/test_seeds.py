"""The waiting instances that the benchmark writes into lanes are what the engine would have written."""

from __future__ import annotations

from leasehold.bench.load.documents import STEP
from leasehold.bench.load.seeds import BLOCK, waiting_documents
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
