"""The writer of the audit trail (`core.audit.trail`): whatever fails, each row stands once, and every chain holds."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from leasehold.core.audit.trail import BULK_MAX_ROWS
from leasehold.core.errors import Unavailable
from leasehold.core.metrics import Metrics

from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch, ModelStore
from tests.kit.schedulers import NAMES, documents, new_cluster
from tests.kit.virtual_time import run_virtual

from .ground import (
    AUDIT_1,
    AUDIT_2,
    Mortal,
    Submitter,
    all_written,
    heads,
    new_trail,
    report,
    row,
    running,
    standing,
    whole,
)

IDS = [f"row-{number:02d}" for number in range(6)]
VOIDS = "audit.void"


def close(cluster: ModelElasticsearch, index: str) -> None:
    """The index takes no more writes, and can be read."""
    cluster.indices[index].write_blocked = True


def own_rows(cluster: ModelElasticsearch, action: str) -> list[dict[str, Any]]:
    return [one for one in documents(cluster, NAMES.audit).values() if one["event"]["action"] == action]


def is_row(id: str) -> Any:
    def fits(operation: Operation) -> bool:
        return operation.id == id

    return fits


def test_rows_are_links_of_one_chain_that_an_opening_row_begins() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster)) as trail:
            submitter = Submitter(trail, dict.fromkeys(IDS, AUDIT_1))
            await all_written(trail)
            assert submitter.told == {id: ["standing"] for id in IDS}
        assert standing(cluster) == IDS
        found = sorted(documents(cluster, NAMES.audit).values(), key=lambda one: one["chain"]["seq"])
        assert [one["chain"]["seq"] for one in found] == list(range(1, 8))
        assert found[0]["event"]["action"] == "audit.open"
        assert all(b["chain"]["previous"] == a["chain"]["hash"] for a, b in pairwise(found))
        (head,) = heads(cluster)
        assert (head.seq, head.hash, head.index) == (7, found[-1]["chain"]["hash"], AUDIT_1)
        assert whole(cluster).rows == 7

    run_virtual(main())


def test_a_row_is_written_within_a_second_and_many_in_few_requests() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster, latency_s=lambda: 0.001)
        async with running(store) as trail:
            await asyncio.sleep(30)
            Submitter(trail, {"one": None})
            await all_written(trail, within_s=1)
            before = store.requests["bulk"]
            Submitter(trail, {f"row-{number}": None for number in range(2_500)})
            await all_written(trail, within_s=2)
            assert store.requests["bulk"] - before == 9, "for each bulk of 1,000 a head before and one after"
        assert len(standing(cluster)) == 2_501
        whole(cluster)

    run_virtual(main())


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(1, 12))
def test_a_process_may_die_at_any_write_and_another_brings_its_outbox_home(dies_at: int, applied: bool) -> None:
    async def main() -> None:
        cluster = new_cluster()
        outbox: dict[str, str | None] = dict.fromkeys(IDS, AUDIT_1)
        mortal = Mortal(cluster, dies_at=dies_at, applied=applied)
        async with running(mortal) as trail:
            for id in IDS[:3]:
                Submitter(trail, {id: AUDIT_1}).outbox = outbox
            await asyncio.sleep(2)
            for id in IDS[3:]:
                Submitter(trail, {id: AUDIT_1}).outbox = outbox
            await asyncio.sleep(8)
        whole(cluster)
        async with running(ModelStore(cluster), replica_id="b") as trail:
            Submitter(trail, outbox, repeated=True)
            await all_written(trail)
        assert not outbox
        assert standing(cluster) == IDS
        whole(cluster)

    run_virtual(main())


@pytest.mark.parametrize("fault", ["lose_answer", "lose_request", "cut_off", "refuse"])
@pytest.mark.parametrize("at", range(7))
def test_any_request_may_fail_in_any_way(fault: str, at: int) -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            bulk, sent = store.bulk, 0

            async def failing(*args: Any, **options: Any) -> Any:
                nonlocal sent
                if sent == at:
                    getattr(store.faults, fault)(on="bulk")
                sent += 1
                return await bulk(*args, **options)

            store.bulk = failing  # type: ignore[method-assign]
            Submitter(trail, dict.fromkeys(IDS[:3], AUDIT_1))
            await all_written(trail)
            Submitter(trail, dict.fromkeys(IDS[3:]))
            await all_written(trail)
            assert sent > at
        assert standing(cluster) == IDS
        assert len(heads(cluster)) == (2 if at == 0 and fault == "lose_answer" else 1)
        whole(cluster)

    run_virtual(main())


def test_a_bulk_that_lands_late_changes_nothing() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            Submitter(trail, {IDS[0]: None})
            await all_written(trail)
            # A head, then a bulk: both land when others have come after them.
            store.faults.land_late(20_000, on="bulk", index=NAMES.keys)
            store.faults.land_late(20_000, on="bulk", index=AUDIT_1)
            Submitter(trail, dict.fromkeys(IDS[1:]))
            await all_written(trail)
            (before,) = heads(cluster)
            await asyncio.sleep(30)
            assert heads(cluster) == (before,)
        assert standing(cluster) == IDS
        whole(cluster)

    run_virtual(main())


@pytest.mark.parametrize("status", [429, 503, 500])
def test_single_rows_that_fail_for_a_while_are_sent_again_under_their_numbers(status: int) -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        store.faults.fail_items(status, fits=is_row(IDS[2]), index=AUDIT_1, times=3)
        async with running(store) as trail:
            Submitter(trail, dict.fromkeys(IDS, AUDIT_1))
            await all_written(trail)
        assert standing(cluster) == IDS
        assert not own_rows(cluster, VOIDS)
        whole(cluster)

    run_virtual(main())


def test_a_row_that_is_refused_comes_without_what_users_put_into_it_and_its_number_is_void() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        store.faults.fail_items(400, "document_parsing_exception", fits=is_row(IDS[2]), index=AUDIT_1)
        async with running(store) as trail:
            Submitter(trail, dict.fromkeys(IDS, AUDIT_1))
            await all_written(trail)
        assert standing(cluster) == IDS
        written = documents(cluster, NAMES.audit)[IDS[2]]
        assert written["stripped"]
        assert "details" not in written
        (said,) = own_rows(cluster, VOIDS)
        (void,) = said["details"]["voids"]
        assert (void["id"], void["seq"]) == (IDS[2], 4)
        whole(cluster)

    run_virtual(main())


def test_a_row_that_is_never_taken_is_dropped_counted_and_told_of_in_the_trail() -> None:
    async def main() -> None:
        cluster, metrics = new_cluster(), Metrics()
        store = ModelStore(cluster)
        store.faults.fail_items(400, fits=is_row(IDS[2]), index=AUDIT_1, times=99)
        trail = new_trail(store, metrics=metrics)
        await trail.open()
        submitter = Submitter(trail, {**dict.fromkeys(IDS, AUDIT_1), "x" * 600: AUDIT_1})
        while trail.waiting:
            assert await trail.pass_once()
        assert standing(cluster) == [id for id in IDS if id != IDS[2]]
        assert not submitter.outbox
        assert metrics.registry.get_sample_value("leasehold_audit_rows_dropped_total") == 2
        whole(cluster)
        Submitter(trail, {"later": None})
        while trail.waiting:
            assert await trail.pass_once()
        voids = [void["id"] for one in own_rows(cluster, VOIDS) for void in one["details"]["voids"]]
        assert sorted(voids) == [IDS[2], IDS[2], "x" * 600, "x" * 600]
        whole(cluster)

    run_virtual(main())


def test_a_row_that_an_earlier_owner_writes_meanwhile_is_not_doubled() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster), replica_id="a") as old, running(ModelStore(cluster)) as new:
            Submitter(old, dict.fromkeys(IDS, AUDIT_1))
            submitter = Submitter(new, dict.fromkeys(IDS, AUDIT_1))
            await all_written(old)
            await all_written(new)
            assert submitter.told == {id: ["standing"] for id in IDS}
            Submitter(new, {"later": None})
            await all_written(new)
        assert standing(cluster) == ["later", *IDS]
        assert len(heads(cluster)) == 2
        whole(cluster)

    run_virtual(main())


def test_rows_from_an_outbox_that_stand_already_take_no_number() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster)) as trail:
            Submitter(trail, dict.fromkeys(IDS, AUDIT_1))
            await all_written(trail)
        store = ModelStore(cluster)
        async with running(store, replica_id="b") as trail:
            submitter = Submitter(trail, dict.fromkeys(IDS, AUDIT_1), repeated=True)
            await all_written(trail)
            assert not submitter.outbox
        assert store.requests["mget"] == 1
        assert "bulk" not in store.requests
        assert len(heads(cluster)) == 1

    run_virtual(main())


def test_one_row_that_is_submitted_twice_is_written_once_and_both_are_told() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster)) as trail:
            first, second = (Submitter(trail, dict.fromkeys(IDS, AUDIT_1)) for _ in range(2))
            await all_written(trail)
            assert not first.outbox
            assert not second.outbox
        assert standing(cluster) == IDS
        assert not own_rows(cluster, VOIDS)
        whole(cluster)

    run_virtual(main())


@pytest.mark.parametrize("named", [AUDIT_1, None])
@pytest.mark.parametrize("fault", [None, "lose_answer", "lose_request"])
def test_rows_go_on_in_the_next_index_where_theirs_takes_no_more_writes(named: str | None, fault: str | None) -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            Submitter(trail, dict.fromkeys(IDS[:2], named))
            await all_written(trail)
            submitter = Submitter(trail, dict.fromkeys(IDS[2:], named))
            if fault is not None:
                getattr(store.faults, fault)(on="bulk", index=AUDIT_1)
                await asyncio.sleep(0.6)
            cluster.roll_over(NAMES.audit)
            close(cluster, AUDIT_1)
            await all_written(trail)
            moved = "closed" if named and fault != "lose_answer" else "standing"
            assert {outcomes[0] for outcomes in submitter.told.values()} == {moved}
            assert not submitter.outbox
        assert standing(cluster) == IDS
        in_first = [id for id in cluster.indices[AUDIT_1].documents if id in IDS]
        assert in_first == (IDS if fault == "lose_answer" else IDS[:2])
        whole(cluster)

    run_virtual(main())


def test_rows_named_for_an_index_that_is_gone_are_told_so() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster)) as trail:
            cluster.roll_over(NAMES.audit)
            cluster.delete_index(AUDIT_1)
            submitter = Submitter(trail, dict.fromkeys(IDS, AUDIT_1), repeated=True)
            await all_written(trail)
            assert submitter.told == {id: ["closed", "standing"] for id in IDS}
        assert standing(cluster) == IDS

    run_virtual(main())


def test_a_number_that_is_void_in_an_index_that_closes_is_told_of_in_the_next() -> None:
    """A row in the midst of a bulk fails, and before it comes again the index takes no more writes."""

    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            store.faults.fail_items(429, fits=is_row(IDS[2]), index=AUDIT_1)
            submitter = Submitter(trail, dict.fromkeys(IDS, AUDIT_1))
            await asyncio.sleep(0.6)
            assert len(standing(cluster)) == 5
            assert not submitter.told, "nothing is confirmed while a number is open"
            cluster.roll_over(NAMES.audit)
            close(cluster, AUDIT_1)
            await all_written(trail)
        assert standing(cluster) == IDS
        (said,) = own_rows(cluster, VOIDS)
        assert [void["id"] for void in said["details"]["voids"]] == [IDS[2]]
        assert {head.index: head.seq for head in heads(cluster)} == {AUDIT_1: 7, AUDIT_2: 3}
        whole(cluster)

    run_virtual(main())


def test_while_there_is_no_other_index_rows_wait_for_theirs() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster)) as trail:
            close(cluster, AUDIT_1)
            submitter = Submitter(trail, {IDS[0]: AUDIT_1, IDS[1]: None})
            await asyncio.sleep(60)
            assert not submitter.told
            cluster.indices[AUDIT_1].write_blocked = False
            await all_written(trail)
        assert standing(cluster) == IDS[:2]
        assert len(heads(cluster)) == 1
        whole(cluster)

    run_virtual(main())


def test_after_a_roll_over_new_rows_go_to_the_new_index_and_named_ones_to_theirs() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with running(ModelStore(cluster)) as trail:
            Submitter(trail, {IDS[0]: None})
            await all_written(trail)
            cluster.roll_over(NAMES.audit)
            await asyncio.sleep(11)
            assert trail.index == AUDIT_1, "it is looked up behind whoever asks"
            await asyncio.sleep(1)
            assert trail.index == AUDIT_2
            Submitter(trail, {IDS[1]: None, IDS[2]: AUDIT_1})
            await all_written(trail)
        assert {id for id in cluster.indices[AUDIT_1].documents if id in IDS} == {IDS[0], IDS[2]}
        assert {id for id in cluster.indices[AUDIT_2].documents if id in IDS} == {IDS[1]}
        (opening,) = [one for one in own_rows(cluster, "audit.open") if one["details"]["heads"]]
        (named,) = opening["details"]["heads"]
        assert named["index"] == AUDIT_1
        whole(cluster)

    run_virtual(main())


def test_the_heads_cannot_be_written_and_nobody_is_told_that_rows_stand() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            Submitter(trail, {IDS[0]: None})
            await all_written(trail)
            held = store.faults.hold("before", on="bulk", index=AUDIT_1)
            submitter = Submitter(trail, {IDS[1]: None})
            await held.reached()
            store.faults.refuse(503, on="bulk", index=NAMES.keys, times=5)
            held.release()
            await asyncio.sleep(3)
            assert standing(cluster) == IDS[:2]
            assert not submitter.told
            assert report(cluster).unconfirmed == 1
            await all_written(trail)
        assert whole(cluster).unconfirmed == 0

    run_virtual(main())


def test_whoever_waits_for_a_row_gets_it_or_hears_that_it_is_late() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            await trail.write("one", row("one"))
            assert standing(cluster) == ["one"]
            store.faults.cut_off(on="bulk", times=15)
            with pytest.raises(Unavailable):
                await trail.write("two", row("two"))
            await all_written(trail, within_s=90)
        assert standing(cluster) == ["one", "two"]

    run_virtual(main())


def test_what_waits_is_written_at_an_orderly_end_which_has_its_bounds() -> None:
    async def main() -> None:
        cluster = new_cluster()
        store = ModelStore(cluster)
        async with running(store) as trail:
            Submitter(trail, {IDS[0]: None})
            await trail.close()
            assert standing(cluster) == IDS[:1]
            store.faults.hold("before", on="bulk")
            Submitter(trail, {IDS[1]: None})
            async with asyncio.timeout(3):
                await trail.close()

    run_virtual(main())


def test_clocks_that_jump_and_processes_of_one_name_leave_chains_apart() -> None:
    async def main() -> None:
        cluster = new_cluster()
        for life, skew_ms in enumerate((0, -3_600_000, 0, 3_600_000)):
            async with running(ModelStore(cluster), skew_ms=skew_ms) as trail:
                Submitter(trail, {f"row-{life}": None})
                await all_written(trail)
        # Two at the very same moment, under one name.
        async with running(ModelStore(cluster)) as one, running(ModelStore(cluster)) as two:
            Submitter(one, {"of-one": None})
            Submitter(two, {"of-two": None})
            await all_written(one)
            await all_written(two)
        assert len(standing(cluster)) == 6
        assert len({head.writer for head in heads(cluster)}) == 6
        whole(cluster)

    run_virtual(main())


def test_a_row_that_cannot_be_made_a_link_stops_nobody() -> None:
    async def main() -> None:
        cluster = new_cluster()
        told: list[str] = []
        async with running(ModelStore(cluster)) as trail:
            trail.submit("broken", b"[1, 2", index=None, done=told.append)
            trail.submit("one", row("one"), index=None, done=lambda _: 1 / 0)  # type: ignore[arg-type]
            Submitter(trail, dict.fromkeys(IDS))
            await all_written(trail)
            assert told == ["standing"]
        assert standing(cluster) == ["one", *IDS]
        whole(cluster)

    run_virtual(main())


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_together_each_row_stands_once_and_the_chains_hold(seed: int) -> None:
    """Two processes that die and come again, outboxes, roll-overs, indices that close, and requests that fail."""

    async def main() -> None:
        random = Random(seed)
        cluster = new_cluster()
        outbox: dict[str, str | None] = {}
        ids: list[str] = []

        failed: set[str] = set()

        def fails(operation: Operation) -> bool:
            """A fifth of the rows, once each: one that is refused twice never comes."""
            if operation.id in failed or random.random() > 0.2:
                return False
            failed.add(operation.id)
            return True

        def store() -> Mortal:
            one = Mortal(cluster, dies_at=random.randrange(3, 40), applied=random.random() < 0.5)
            for kind in ("lose_answer", "lose_request", "refuse", "cut_off"):
                if random.random() < 0.5:
                    getattr(one.faults, kind)(on="bulk", times=random.randrange(1, 4))
            if random.random() < 0.5:
                one.faults.fail_items(random.choice((400, 429, 500)), fits=fails, index="*audit*", times=3)
            return one

        for life in range(5):
            async with running(store(), replica_id=f"r{life % 2}") as trail:
                submitter = Submitter(trail, outbox, repeated=True)
                for _ in range(random.randrange(2, 8)):
                    for _ in range(random.randrange(1, 30)):
                        ids.append(f"row-{len(ids):04d}")
                        outbox[ids[-1]] = trail.index
                        submitter.submit(ids[-1])
                    await asyncio.sleep(random.random() * 2)
                    if random.random() < 0.3:
                        old = cluster.write_index(NAMES.audit).name
                        cluster.roll_over(NAMES.audit)
                        if random.random() < 0.7:
                            close(cluster, old)
            whole(cluster)
        async with running(ModelStore(cluster), replica_id="last") as trail:
            Submitter(trail, outbox, repeated=True)
            await all_written(trail)
        assert standing(cluster) == ids
        whole(cluster)
        assert all(msgspec.json.decode(one.source)["chain"] for index in cluster.resolve(NAMES.audit)
                   for one in index.documents.values())  # fmt: skip

    run_virtual(main())


def test_a_bulk_is_bounded() -> None:
    async def main() -> None:
        cluster = new_cluster()
        trail = new_trail(ModelStore(cluster))
        await trail.open()
        Submitter(trail, {f"row-{number}": None for number in range(BULK_MAX_ROWS + 1)})
        assert await trail.pass_once()
        assert trail.waiting == 2, "one for the row that opens the chain"
        large = msgspec.json.encode({"details": "x" * 1_000_000})
        for number in range(20):
            trail.submit(f"large-{number}", large, index=None, done=lambda _: None)
        assert await trail.pass_once()
        assert trail.waiting == 15

    run_virtual(main())
