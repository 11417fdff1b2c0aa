"""The committer, row by row of its table (`core.lanes.commits`), with a store that fails as Elasticsearch does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from leasehold.core.errors import InvalidRequest, QuotaExceeded, Unavailable
from leasehold.core.es.lines import fence_lines
from leasehold.core.metrics import Metrics
from leasehold.core.settings import CommitSettings, LaneSettings, LimitSettings, Settings

from tests.kit.faults import Faults
from tests.kit.model_bulk import parse_bulk
from tests.kit.model_index import Operation
from tests.kit.model_store import ModelElasticsearch
from tests.kit.schedulers import ANYBODY, LANE, ONE_STEP, SETTINGS, TWO_STEPS, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

Plan = Callable[[Faults], None]


def is_instance(operation: Operation) -> bool:
    return operation.id != "fence" and ":" not in operation.id


def is_fence(operation: Operation) -> bool:
    return operation.id == "fence"


def is_side(operation: Operation) -> bool:
    return ":" in operation.id


UNCERTAIN: dict[str, Plan] = {
    "the answer is lost after the write": lambda faults: faults.lose_answer(on="bulk", index=LANE),
    "the request is lost on its way": lambda faults: faults.lose_request(on="bulk", index=LANE),
    "the write lands after the client gave up": lambda faults: faults.land_late(30, on="bulk", index=LANE),
    "409 for a write that landed": lambda faults: faults.fail_items(409, fits=is_instance, applied=True, index=LANE),
    "500 for a write that landed": lambda faults: faults.fail_items(500, fits=is_instance, applied=True, index=LANE),
    "503 for a write that did not": lambda faults: faults.fail_items(503, fits=is_instance, index=LANE),
    "no connection": lambda faults: faults.cut_off(on="bulk", index=LANE),
    "429 for the whole request": lambda faults: faults.refuse(429, on="bulk", index=LANE),
    "429 for one item": lambda faults: faults.fail_items(429, fits=is_instance, index=LANE),
    "the index is blocked for a while": lambda faults: faults.refuse(403, on="bulk", index=LANE),
    "the index is blocked, item by item": lambda faults: faults.fail_items(403, times=3, index=LANE),
    "the fence item fails": lambda faults: faults.fail_items(503, fits=is_fence, index=LANE),
}


def test_a_start_and_the_claim_that_waits_for_it_are_one_write() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            waiting = asyncio.create_task(s.claim(wait_ms=10_000))
            await asyncio.sleep(0.01)
            before = s.store.requests["bulk"]
            started = await s.start("one", n=7)
            (step,) = await waiting
            assert s.store.requests["bulk"] - before == 1
            assert (step.workflow_id, step.payload) == (started.instance_id, {"n": 7})
            assert live(cluster)[started.instance_id]["steps"]["only"]["status"] == "claimed"

    run_virtual(main())


def test_nobody_is_answered_before_the_write_is_acknowledged() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            held = s.faults.hold("after", on="bulk", index=LANE)
            start = asyncio.create_task(s.start("one"))
            claim = asyncio.create_task(s.claim(wait_ms=60_000))
            await held.reached()
            await asyncio.sleep(5)
            assert len(live(cluster)) == 1
            assert not start.done()
            assert not claim.done()
            held.release()
            await start
            assert len(await claim) == 1

    run_virtual(main())


def test_what_happens_while_a_bulk_is_in_flight_shares_the_next_one() -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(SETTINGS, commit=CommitSettings(bulks_in_flight=1))
        async with scheduler(new_cluster(), settings=settings) as s:
            await s.define(ONE_STEP)
            held = s.faults.hold("before", on="bulk", index=LANE)
            starts = [asyncio.create_task(s.start("one"))]
            await held.reached()
            before = s.store.requests["bulk"]
            for _ in range(50):
                starts.append(asyncio.create_task(s.start("one")))
                await asyncio.sleep(0.001)
            held.release()
            await asyncio.gather(*starts)
            assert s.store.requests["bulk"] - before == 1

    run_virtual(main())


@pytest.mark.parametrize("fault", UNCERTAIN.values(), ids=UNCERTAIN.keys())
def test_a_start_survives(fault: Plan) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            fault(s.faults)
            started = await s.start("two")
            assert list(live(cluster)) == [started.instance_id]
            await s.run_all(2)
            assert await s.status(started.instance_id) == "succeeded"

    run_virtual(main())


@pytest.mark.parametrize("fault", UNCERTAIN.values(), ids=UNCERTAIN.keys())
def test_a_completion_survives(fault: Plan) -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            started = await s.start("two")
            step = await s.claim_one()
            fault(s.faults)
            assert await s.complete(step, "done") == "succeeded"
            assert live(cluster)[started.instance_id]["steps"]["first"]["result"] == "done"
            second = await s.claim_one()
            assert second.payload == {"got": "done"}
            assert second.token > step.token

    run_virtual(main())


@pytest.mark.parametrize("fault", UNCERTAIN.values(), ids=UNCERTAIN.keys())
def test_a_claim_survives_and_is_given_once(fault: Plan) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            fault(s.faults)
            step = await s.claim_one()
            assert step.attempt == 1
            assert await s.claim(wait_ms=1_000) == []
            assert await s.complete(step) == "succeeded"

    run_virtual(main())


def test_lost_races_are_counted_and_there_are_none_in_the_steady_state() -> None:
    async def main() -> None:
        metrics = Metrics()

        def conflicts() -> float:
            return metrics.registry.get_sample_value("leasehold_commit_conflicts_total", {"index": LANE}) or 0

        async with scheduler(new_cluster(), metrics=metrics) as s:
            await s.define(ONE_STEP)
            await s.start("one")
            await s.complete(await s.claim_one())
            assert conflicts() == 0
            s.faults.fail_items(409, fits=is_instance, applied=True, index=LANE)
            await s.start("one")
            assert conflicts() == 1

    run_virtual(main())


def test_a_read_alone_proves_nothing_the_answer_waits_for_a_write_of_its_own() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            s.faults.lose_answer(on="bulk", index=LANE)
            start = asyncio.create_task(s.start("one"))
            await asyncio.sleep(0.0025)
            held = s.faults.hold("before", on="bulk", index=LANE)
            await held.reached()
            assert len(live(cluster)) == 1, "the first write landed, and the read has found it"
            assert not start.done()
            held.release()
            await start

    run_virtual(main())


def test_a_write_that_the_primary_lost_after_it_was_read_is_written_again() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            started = await s.start("two")
            step = await s.claim_one()
            index = cluster.indices[LANE]
            before = index.documents[started.instance_id]
            s.faults.lose_answer(on="bulk", index=LANE)
            completion = asyncio.create_task(s.complete(step, "kept"))
            await asyncio.sleep(0.0025)
            held = s.faults.hold("before", on="bulk", index=LANE)
            await held.reached()
            index.documents[started.instance_id] = before
            held.release()
            assert await completion == "succeeded"
            assert live(cluster)[started.instance_id]["steps"]["first"]["result"] == "kept"

    run_virtual(main())


def test_a_refused_fence_answers_nobody_and_drops_the_lane() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            _raise_fence(cluster, epoch=99)
            with pytest.raises(Unavailable):
                await s.start("one")
            assert not s.replica.owns_lanes()

    run_virtual(main())


def test_a_bulk_whose_fence_item_failed_answers_nobody_until_it_is_written_again() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            s.faults.fail_items(503, fits=is_fence, index=LANE)
            first = s.faults.hold("after", on="bulk", index=LANE)
            start = asyncio.create_task(s.start("one"))
            await first.reached()
            second = s.faults.hold("before", on="bulk", index=LANE)
            first.release()
            await second.reached()
            assert not start.done()
            second.release()
            await start

    run_virtual(main())


def test_a_fence_item_that_keeps_failing_is_tried_again_after_growing_pauses() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            s.faults.fail_items(503, fits=is_fence, index=LANE, times=10_000)
            start = asyncio.create_task(s.start("one"))
            before = s.store.requests["bulk"]
            await asyncio.sleep(4)
            assert s.store.requests["bulk"] - before < 25
            assert not start.done()
            s.faults.clear()
            await start

    run_virtual(main())


def test_admission_closes_while_elasticsearch_pushes_back_and_opens_again() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            s.faults.refuse(429, on="bulk", index=LANE, times=3)
            first = asyncio.create_task(s.start("one"))
            await asyncio.sleep(0.02)
            with pytest.raises(QuotaExceeded, match="pushes back"):
                await s.start("one")
            await first
            await s.start("one")

    run_virtual(main())


def test_a_blocked_index_is_tried_again_ever_more_rarely() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            s.faults.fail_items(403, times=1_000_000, index=LANE)
            start = asyncio.create_task(s.start("one"))
            await asyncio.sleep(10)
            before = s.store.requests["bulk"]
            await asyncio.sleep(60)
            assert s.store.requests["bulk"] - before < 60
            assert not start.done()
            with pytest.raises(QuotaExceeded):
                await s.start("one")
            s.faults.clear()
            await start

    run_virtual(main())


def test_a_bulk_that_is_too_large_is_halved_until_it_fits() -> None:
    async def main() -> None:
        cluster = new_cluster()
        settings = msgspec.structs.replace(SETTINGS, commit=CommitSettings(bulks_in_flight=1))
        async with scheduler(cluster, settings=settings) as s:
            await s.define(ONE_STEP)
            held = s.faults.hold("before", on="bulk", index=LANE)
            starts = [asyncio.create_task(s.start("one"))]
            await held.reached()
            starts += [asyncio.create_task(s.start("one")) for _ in range(40)]
            await asyncio.sleep(0.01)
            s.faults.refuse(413, on="bulk", index=LANE, times=2)
            held.release()
            await asyncio.gather(*starts)
            assert len(live(cluster)) == 41

    run_virtual(main())


def test_a_document_that_elasticsearch_refuses_fails_alone() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ONE_STEP)
            refused = [True]

            def first_instance(operation: Operation) -> bool:
                return is_instance(operation) and refused.pop() if refused else False

            s.faults.fail_items(400, "document_parsing_exception", fits=first_instance, index=LANE)
            outcomes = await asyncio.gather(s.start("one"), s.start("one"), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes].count(InvalidRequest) == 1
            assert len(live(cluster)) == 1

    run_virtual(main())


def test_a_running_instance_that_becomes_unstorable_fails_with_that_reason() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(TWO_STEPS)
            started = await s.start("two")
            step = await s.claim_one()
            s.faults.fail_items(400, "document_parsing_exception", fits=is_instance, index=LANE)
            with pytest.raises(InvalidRequest, match="document_parsing_exception"):
                await s.complete(step, "poison")
            await asyncio.sleep(1)
            view = await s.replica.instance(ANYBODY, started.instance_id)
            assert view.status == "failed"
            assert view.error is not None
            assert view.error.type == "document_rejected"

    run_virtual(main())


def test_a_document_over_the_hard_bound_is_never_sent() -> None:
    async def main() -> None:
        settings = Settings(
            lanes=LaneSettings(lanes=1),
            limits=LimitSettings(side_document_bytes=100_000, document_max_bytes=20_000),
        )
        async with scheduler(new_cluster(), settings=settings) as s:
            await s.define(TWO_STEPS)
            started = await s.start("two")
            step = await s.claim_one()
            with pytest.raises(InvalidRequest, match="document_max_bytes"):
                await s.complete(step, "x" * 30_000)
            await asyncio.sleep(1)
            assert await s.status(started.instance_id) == "failed"

    run_virtual(main())


def test_a_large_result_stands_before_the_instance_that_refers_to_it_is_answered() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            started = await s.start("two")
            step = await s.claim_one()
            s.faults.fail_items(503, fits=is_side, index=LANE)
            assert await s.complete(step, "y" * 9_000) == "succeeded"
            document = live(cluster)[started.instance_id]
            ref = document["steps"]["first"]["result_ref"]
            assert msgspec.json.decode(cluster.indices[LANE].documents[ref].source)["value"] == "y" * 9_000
            assert document["steps"]["first"]["result"] is None
            second = await s.claim_one()
            assert second.payload == {"got": "y" * 9_000}
            await s.complete(second)
            await asyncio.sleep(3)
            assert list(cluster.indices[LANE].documents) == ["fence"], "side documents go with their instance"

    run_virtual(main())


def _raise_fence(cluster: ModelElasticsearch, epoch: int) -> None:
    for operation in parse_bulk(fence_lines(epoch, "another"), LANE):
        assert cluster.apply(operation).status == 200
