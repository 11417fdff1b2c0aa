"""Memories, days of usage, and what was left in the control index."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from leasehold.core.es.lines import create_line, newest_line_in, put_line
from leasehold.core.lanes.ownership.control import ReplicaRecord
from leasehold.core.settings import RetentionSettings
from leasehold.core.usage.counting import oldest_day_ms
from leasehold.core.usage.documents import empty, usage_id
from leasehold.ilm.policies import default_policy, retention_ms
from leasehold.tenancy.shares import QuotaDocument, Share

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, documents, new_cluster, scheduler
from tests.kit.virtual_time import EPOCH_MS, run_virtual

from .ground import clearing, retention_of

DAY_MS = 86_400_000
REMEMBERS = """
name: remembers
memory: {key: "{{ inputs.k }}"}
steps:
  - {name: look, executor: work, input: {seen: "{{ memory }}"}}
  - {name: keep, remember: {runs: "{{ memory.runs | default(0) + 1 }}"}}
"""


def test_a_memory_goes_when_no_run_has_left_anything_for_long() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing(memory_kept_ms=60_000)) as s:
            await s.define(REMEMBERS)
            for key in ("old", "used"):
                await s.start("remembers", k=key)
                await s.run_all(1)
            await asyncio.sleep(50)
            await s.start("remembers", k="used")
            await s.run_all(1)
            await asyncio.sleep(20)
            assert await retention_of(s).pass_once() == 1
            (left,) = documents(cluster, NAMES.keys, "memory").values()
            assert (left["key"], left["value"]) == ("used", {"runs": 2})

            # It begins anew, over what is left of the version of the one that went.
            await s.start("remembers", k="old")
            step = await s.claim_one()
            assert step.payload == {"seen": {}}
            await s.complete(step)
            await asyncio.sleep(2)
            values = {one["key"]: one["value"] for one in documents(cluster, NAMES.keys, "memory").values()}
            assert values == {"old": {"runs": 1}, "used": {"runs": 2}}

    run_virtual(main())


def test_a_memory_that_is_left_again_at_the_moment_of_its_deletion_stays() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing(memory_kept_ms=10_000)) as s:
            await s.define(REMEMBERS)
            await s.start("remembers", k="a")
            await s.run_all(1)
            await asyncio.sleep(20)
            ((id, document),) = documents(cluster, NAMES.keys, "memory").items()
            deletion = s.faults.hold("before", on="bulk", index=NAMES.keys)
            passing = asyncio.create_task(retention_of(s).pass_once())
            await deletion.reached()
            newer = document | {"at_ms": EPOCH_MS + 30_000}
            lines = [newest_line_in(NAMES.keys, id, newer["at_ms"]), msgspec.json.encode(newer)]
            await ModelStore(cluster).bulk(lines)
            deletion.release()
            assert await passing == 0
            assert documents(cluster, NAMES.keys, "memory") == {id: newer}

    run_virtual(main())


def test_heads_of_chains_go_with_their_index_once_it_was_of_age() -> None:
    async def main() -> None:
        cluster = new_cluster()
        kept_ms = retention_ms(default_policy("audit"))
        assert kept_ms is not None
        aged_ms = EPOCH_MS - kept_ms - DAY_MS
        heads = {
            "aged": ("workflow-audit-000000", aged_ms),
            "removed early": ("workflow-audit-000000", EPOCH_MS - DAY_MS),
            "old and there": ("workflow-audit-000001", aged_ms),
        }
        async with scheduler(cluster, settings=clearing()) as s:
            for writer, (index, at_ms) in sorted(heads.items(), key=lambda one: one[1][1]):
                head = {"kind": "chain", "writer": writer, "index": index, "seq": 1, "hash": "h", "at_ms": at_ms}
                lines = [create_line(f"chain:{writer}"), msgspec.json.encode(head | {"created_at_ms": at_ms})]
                await ModelStore(cluster).bulk(lines, index=NAMES.keys)
            await asyncio.sleep(2)
            assert await retention_of(s).pass_once() == 1
            left = {one["writer"] for one in documents(cluster, NAMES.keys, "chain").values()}
            assert left >= {"removed early", "old and there"}
            assert "aged" not in left

    run_virtual(main())


async def used_on(cluster: ModelElasticsearch, day_ms: int) -> None:
    line = create_line(usage_id("acme", "flow", day_ms))
    await ModelStore(cluster).bulk([line, msgspec.json.encode(empty("acme", "flow", day_ms))], index=NAMES.usage)


def test_days_of_usage_go_and_a_late_row_brings_none_back() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=clearing(usage_kept_days=100)) as s:
            first_ms = oldest_day_ms(EPOCH_MS, 100)
            for day_ms in (first_ms - DAY_MS, first_ms, first_ms + DAY_MS):
                await used_on(cluster, day_ms)
            await asyncio.sleep(2)
            assert await retention_of(s).pass_once() == 1
            kept = set(documents(cluster, NAMES.usage))
            assert kept == {usage_id("acme", "flow", first_ms), usage_id("acme", "flow", first_ms + DAY_MS)}

            at = datetime.fromtimestamp((first_ms - 1) / 1_000, UTC).isoformat()
            row = {"@timestamp": at, "tenant": "acme", "workflow": {"id": "x", "name": "flow"}, "step": {"attempt": 1}}
            await ModelStore(cluster).bulk([create_line("x"), msgspec.json.encode(row)], index=NAMES.steps)
            await asyncio.sleep(120)
            assert set(documents(cluster, NAMES.usage)) == kept

    run_virtual(main())


def test_the_defaults_agree_with_each_other() -> None:
    assert RetentionSettings().keys_kept_ms == clearing().lanes.kept_drained_ms


def test_a_record_that_no_list_names_goes_when_it_is_silent_unless_its_replica_lives() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)

        async def renew(name: str, renewals: int) -> None:
            record = ReplicaRecord(replica=name, address="http://x", started_at_ms=1, renewals=renewals)
            await store.bulk([put_line(f"replica-{name}"), msgspec.json.encode(record)], index=NAMES.control)

        async with scheduler(cluster, settings=clearing()) as s:
            await renew("dead", 1)
            await renew("lives", 1)
            await asyncio.sleep(5)
            assert await retention_of(s).pass_once() == 0
            await renew("lives", 2)
            await asyncio.sleep(60)
            assert await retention_of(s).pass_once() == 1
            assert set(documents(cluster, NAMES.control, "replica")) == {"replica-lives", "replica-replica-a"}

    run_virtual(main())


def test_lanes_that_are_gone_are_struck_off_quotas_that_nobody_has_to_do_with() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)

        async def put(tenant: str, shares: dict[str, Share]) -> None:
            document = QuotaDocument(limit=5, as_of=0, shares=shares)
            lines = [create_line(f"quota:running_steps:{tenant}:"), msgspec.json.encode(document)]
            await store.bulk(lines, index=NAMES.control)

        async with scheduler(cluster, settings=clearing()) as s:
            await s.replica.add_lanes(1)
            await asyncio.sleep(2)
            await s.replica.drain_lane("01")
            await asyncio.sleep(10)
            await s.replica.remove_lane("01", early=True)
            await put("gone", {"01": Share(1, 5)})
            await put("half", {"00": Share(1, 2), "01": Share(1, 3)})
            await put("whole", {"00": Share(1, 5)})
            await asyncio.sleep(2)
            assert await retention_of(s).pass_once() == 2
            left = {id: set(one["shares"]) for id, one in documents(cluster, NAMES.control, "quota").items()}
            assert left == {"quota:running_steps:half:": {"00"}, "quota:running_steps:whole:": {"00"}}

    run_virtual(main())
