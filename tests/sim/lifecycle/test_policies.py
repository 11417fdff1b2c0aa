"""Policies in force: who may change them, what a change leaves in the audit trail, and whoever dies while making it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest
from leasehold.core.errors import Conflict, Forbidden, InvalidRequest, LeaseholdError, NotFound, Unavailable
from leasehold.core.es.lines import create_line, put_line
from leasehold.core.lifecycle.documents import OUTBOX_MAX, PolicyDocument, Waiting
from leasehold.core.principal import Principal
from leasehold.ilm.policies import default_policy

from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import ALICE, BOB, Mortal, deletes_after, outbox, policy, put, rows

DELIVERED_S = 3


def on_a_scheduler(test: Callable[[Scheduler, ModelElasticsearch], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await test(s, cluster)

    run_virtual(main())


def test_without_a_document_the_default_is_in_force() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        found = await s.replica.policy("steps")
        assert (found.source, found.revision, found.policy) == ("default", 0, default_policy("steps").document())
        with pytest.raises(NotFound, match="there are steps, instances, events, audit"):
            await s.replica.policy("lanes")

    on_a_scheduler(test)


def test_a_change_is_in_force_and_in_the_trail_with_who_from_where_before_and_after() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        assert await put(s, "steps", policy("40d")) == 1
        assert await put(s, "steps", policy("50d"), by=BOB) == 2
        after = (await s.replica.reset_policy(ALICE, "steps", revision=2, yes=False)).after
        assert (after.source, after.revision, after.updated_by) == ("default", 3, "alice")
        await asyncio.sleep(DELIVERED_S)
        changes = rows(cluster, "steps")
        default = default_policy("steps").phases["delete"]["min_age"]
        assert [deletes_after(row) for row in changes] == [(default, "40d"), ("40d", "50d"), ("50d", default)]
        assert [row["event"]["action"] for row in changes] == ["change_policy", "change_policy", "reset_policy"]
        assert [row["user"]["name"] for row in changes] == ["alice", "bob", "alice"]
        assert changes[0]["user"] == {"name": "alice", "roles": ["operator"], "tenant": "acme", "space": ["default"]}
        assert changes[0]["source"] == {"ip": "192.0.2.7"}
        assert "source" not in changes[1]
        assert changes[0]["details"]["family"] == "steps"
        assert "reason" not in changes[0]["event"]
        assert "deleted 30d after their index rolls, and not 50d" in changes[2]["event"]["reason"]
        assert (changes[0]["tenant"], changes[0]["space"]) == ("*", "*")
        assert outbox(cluster, "steps") == []

    on_a_scheduler(test)


def test_the_same_in_other_words_changes_nothing() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await put(s, "steps", policy("2d", max_age="60m"))
        again = await s.replica.put_policy(BOB, "steps", policy("48h", max_age="1h"), revision=1, yes=False)
        assert (again.changed, again.after.revision, again.after.updated_by) == (False, 1, "alice")
        reset = await s.replica.reset_policy(BOB, "audit", revision=0, yes=False)
        assert (reset.changed, reset.after.revision) == (False, 0)
        await asyncio.sleep(DELIVERED_S)
        assert len(rows(cluster, "steps")) == 1
        assert rows(cluster, "audit") == []

    on_a_scheduler(test)


def test_a_policy_is_shown_in_the_order_in_which_it_was_written() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        source = b"phases: {hot: {min_age: 0ms, actions: {rollover: {max_docs: 5, max_age: 7d}}}}"
        found = (await s.replica.put_policy(ALICE, "steps", source, revision=None, yes=False)).after
        assert msgspec.json.encode(found.policy) == (
            b'{"phases":{"hot":{"min_age":"0ms","actions":{"rollover":{"max_docs":5,"max_age":"7d"}}}}}'
        )

    on_a_scheduler(test)


def test_the_default_written_down_is_a_change_since_it_stays_when_a_release_brings_another() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        written = msgspec.json.encode(default_policy("steps").document())
        found = (await s.replica.put_policy(ALICE, "steps", written, revision=None, yes=False)).after
        assert (found.source, found.revision) == ("document", 1)

    on_a_scheduler(test)


def test_only_operators_change_policies() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        mallory = Principal("mallory", "acme")
        with pytest.raises(Forbidden, match="changing how history ages needs the role operator"):
            await put(s, "steps", policy(), by=mallory)
        with pytest.raises(Forbidden):
            await s.replica.reset_policy(mallory, "steps", revision=None, yes=True)

    on_a_scheduler(test)


def test_a_policy_that_is_not_valid_is_refused_with_all_that_is_wrong_and_where() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        source = b"phases:\n  hot:\n    actions:\n      set_priority: {priority: -4}\n  tepid:\n    min_age: 1d\n"
        with pytest.raises(InvalidRequest) as refused:
            await put(s, "steps", source)
        found = {one.path: one.line for one in refused.value.violations}
        assert found["phases.tepid"] == 5
        assert len(found) >= 3
        with pytest.raises(InvalidRequest, match="found no mapping"):
            await put(s, "steps", b"[1, 2]")
        with pytest.raises(InvalidRequest):
            await put(s, "steps", b"")
        with pytest.raises(LeaseholdError, match="at most 65536"):
            await put(s, "steps", b"#" * 70_000)
        assert "policy:steps" not in documents(cluster, NAMES.control)

    on_a_scheduler(test)


def test_the_audit_trail_is_never_kept_less_long_without_a_yes() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        for source in (policy("399d"), policy("2h")):
            with pytest.raises(Conflict, match=r"and not 400d after it as until now; say so with yes=true"):
                await put(s, "audit", source)
        assert await put(s, "audit", policy("400d", max_age="1d")) == 1, "rolling over earlier keeps rows as long"
        assert await put(s, "audit", policy(None)) == 2
        with pytest.raises(Conflict, match="which were kept for ever"):
            await put(s, "audit", policy("9000d"))
        with pytest.raises(Conflict, match="which were kept for ever"):
            await s.replica.reset_policy(ALICE, "audit", revision=None, yes=False)
        assert await put(s, "audit", policy("2h"), yes=True) == 3
        assert await put(s, "steps", policy("2h")) == 1, "it is the audit trail alone that is guarded"

    on_a_scheduler(test)


def test_who_counts_on_a_revision_is_told_of_another() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        await s.replica.put_policy(ALICE, "steps", policy("40d"), revision=0, yes=False)
        with pytest.raises(Conflict, match="stands at revision 1, not 0"):
            await s.replica.put_policy(BOB, "steps", policy("41d"), revision=0, yes=False)

    on_a_scheduler(test)


def test_of_changes_at_once_each_stands_on_the_one_before() -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        async with scheduler(cluster) as a, scheduler(cluster, replica_id="replica-b", seed=2, owning=False) as b:
            days = range(40, 46)
            await asyncio.gather(*(put((a, b)[day % 2], "steps", policy(f"{day}d")) for day in days))
            await asyncio.sleep(DELIVERED_S + 12)
            changes = [deletes_after(row) for row in rows(cluster, "steps")]
            assert sorted(new for _, new in changes if new) == [f"{day}d" for day in days]
            assert [new for _, new in changes[:-1]] == [old for old, _ in changes[1:]]
            assert outbox(cluster, "steps") == []

    run_virtual(main())


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, 8))
def test_whoever_changes_a_policy_may_die_at_any_write(dies_at: int, applied: bool) -> None:
    async def main() -> None:
        cluster = new_cluster(lanes=2)
        mortal = Mortal(cluster)
        async with scheduler(cluster, store=mortal, replica_id="mortal") as s:
            # What a start writes into the trail is over by then.
            await asyncio.sleep(10)
            mortal.writes, mortal.dies_at, mortal.applied = 0, dies_at, applied
            acknowledged = False
            with suppress(LeaseholdError):
                await put(s, "steps", policy("40d"))
                acknowledged = True
            await asyncio.sleep(5)
            async with scheduler(cluster, replica_id="survivor", seed=2, owning=False):
                await asyncio.sleep(40)
        changes = [deletes_after(row) for row in rows(cluster, "steps")]
        stands = "policy:steps" in documents(cluster, NAMES.control)
        assert stands or not acknowledged
        assert stands is (dies_at > 1 or applied)
        assert [new for _, new in changes] == (["40d"] if stands else [])
        assert not stands or outbox(cluster, "steps") == []

    run_virtual(main())


@pytest.mark.parametrize("landed", [False, True], ids=["not there yet", "there already"])
def test_a_row_named_for_an_index_that_takes_no_more_is_in_the_trail_once(landed: bool) -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with scheduler(cluster, store=store) as s:
            await asyncio.sleep(5)
            held = store.faults.hold("after" if landed else "before", on="bulk", index=f"{NAMES.audit}-*")
            await put(s, "steps", policy("40d"))
            await held.reached()
            if landed:
                store.faults.lose_answer(on="bulk", index=f"{NAMES.audit}-*")
            first = cluster.write_index(NAMES.audit)
            cluster.roll_over(NAMES.audit)
            first.write_blocked = True
            held.release()
            await asyncio.sleep(30)
        assert len(rows(cluster, "steps")) == 1
        assert outbox(cluster, "steps") == []

    run_virtual(main())


def test_a_row_whose_index_goes_on_under_another_name_is_not_written_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        first = cluster.write_index(NAMES.audit)
        # As ILM leaves an index that it has shrunk, while nobody was there to see that the row stands.
        shrunk = cluster.create_index(f"shrink-x-{first.name}", first.mapping, alias=NAMES.audit, write=False)
        cluster.roll_over(NAMES.audit)
        cluster.delete_index(first.name)
        row = msgspec.json.encode({"@timestamp": "2026-01-01T00:00:00Z", "tenant": "*"})
        waiting = Waiting("policy:steps:5:1", first.name, row.decode())
        document = PolicyDocument(family="steps", since_ms=5, revision=1, outbox=(waiting,))
        client = ModelStore(cluster)
        await client.bulk([create_line(waiting.row_id), row], index=shrunk.name)
        await client.bulk([create_line("policy:steps"), msgspec.json.encode(document)], index=NAMES.control)
        async with scheduler(cluster):
            await asyncio.sleep(60)
        assert outbox(cluster, "steps") == []
        assert len(rows(cluster, "steps")) == 1

    run_virtual(main())


def test_rows_that_wait_are_kept_through_further_changes_and_another_replicas_life() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            s.faults.refuse(503, on="bulk", index=f"{NAMES.audit}-*", times=1_000)
            for days in (40, 50, 60):
                await put(s, "steps", policy(f"{days}d"))
                await asyncio.sleep(DELIVERED_S)
            assert rows(cluster, "steps") == []
            assert len(outbox(cluster, "steps")) == 3
        async with scheduler(cluster, replica_id="replica-b", seed=2):
            await asyncio.sleep(30)
        assert [deletes_after(row)[1] for row in rows(cluster, "steps")] == ["40d", "50d", "60d"]
        assert outbox(cluster, "steps") == []

    run_virtual(main())


def test_there_is_a_bound_to_changes_that_wait_for_the_trail() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        s.faults.refuse(503, on="bulk", index=f"{NAMES.audit}-*", times=1_000)
        for days in range(OUTBOX_MAX):
            await put(s, "steps", policy(f"{40 + days}d"))
        with pytest.raises(Unavailable, match="wait for the audit trail, which takes none"):
            await put(s, "steps", policy("90d"))
        s.faults.clear()
        await asyncio.sleep(30)
        assert await put(s, "steps", policy("90d")) == OUTBOX_MAX + 1

    on_a_scheduler(test)


def test_a_lost_answer_is_no_lost_change() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            s.faults.lose_answer(on="bulk", index=NAMES.control)
            assert await put(s, "steps", policy("40d")) == 1
            await asyncio.sleep(DELIVERED_S)
            assert len(rows(cluster, "steps")) == 1

    run_virtual(main())


def test_what_can_not_be_read_ages_nothing_until_somebody_mends_it() -> None:
    async def test(s: Scheduler, cluster: ModelElasticsearch) -> None:
        for source in (b'{"kind":"policy"}', b'{"kind":"policy","family":"audit","since_ms":1,"policy":"{}"}'):
            await s.store.bulk([put_line("policy:audit"), source], index=NAMES.control)
            found = await s.replica.policy("audit")
            assert (found.source, found.policy, found.retention_ms) == ("document", None, None)
            assert found.error
            view = await s.replica.lifecycle()
            assert any("nothing of it ages" in finding and "audit" in finding for finding in view.findings)
            with pytest.raises(Conflict, match="nothing of audit is deleted now, and would be"):
                await s.replica.reset_policy(ALICE, "audit", revision=None, yes=False)
            assert (await s.replica.reset_policy(ALICE, "audit", revision=None, yes=True)).changed
            assert (await s.replica.policy("audit")).error is None
        await asyncio.sleep(DELIVERED_S)
        assert all(row["details"]["old"] is None for row in rows(cluster, "audit"))

    on_a_scheduler(test)
