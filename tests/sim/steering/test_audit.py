"""Who told an instance what: one row of `workflow-audit` for each order that changed something."""

from __future__ import annotations

import asyncio

from leasehold.claim.wire import DecisionBody
from leasehold.core.orders import Cancel, Decide, Pause, Resume, Retry, Signal, Skip, Terminate
from leasehold.core.principal import Principal

from tests.kit.schedulers import ANYBODY, LANE, TWO_STEPS, documents, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .kit import ASKING, AUDIT, FAN, FRAIL, WAITING, dying, fail_second, in_history, order_rows, told, trail

ANN = Principal("ann", "acme", roles=("lead",))
CARL = Principal("carl", "acme", address="10.0.0.7")


def test_each_order_leaves_one_row_that_says_who_what_why_and_where() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL, ASKING)
            id = (await s.start("frail")).instance_id
            for order in (Pause(reason="look"), Resume(), Signal(name="x", payload=1), Skip(step="first"), Cancel()):
                await told(s, id, order)
                await asyncio.sleep(0.1)
            asked = (await s.start("asking")).instance_id
            await told(s, asked, Decide(approved=True, form={"amount": 2}, comment="fine"), ANN)
            await asyncio.sleep(0.1)
            await told(s, asked, Terminate(reason="enough"))
            await in_history(s)
            assert trail(cluster) == [
                ("pause", "tester", id),
                ("resume", "tester", id),
                ("signal", "tester", id),
                ("skip", "tester", id),
                ("cancel", "tester", id),
                ("approve", "ann", asked),
                ("terminate", "tester", asked),
            ]
            (approved,) = (row for row in documents(cluster, AUDIT).values() if row["event"]["action"] == "approve")
            assert approved["user"] == {"name": "ann", "roles": ["lead"]}
            assert approved["event"]["reason"] == "fine"
            assert approved["step"] == {"path": "act"}
            assert approved["details"] == {
                "before": {"status": "waiting"},
                "after": {"status": "running"},
                "form": {"amount": 2, "note": "none"},
            }
            assert "source" not in approved
            assert (approved["tenant"], approved["workflow"]["name"]) == ("acme", "asking")

    run_virtual(main())


def test_a_row_says_from_where_the_order_came_and_what_it_made_of_the_instance() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            await told(s, id, Pause(), CARL)
            await told(s, id, Terminate(), CARL)
            await in_history(s)
            paused, terminated = order_rows(cluster)
            assert paused["source"] == terminated["source"] == {"ip": "10.0.0.7"}
            assert paused["details"] == {"before": {"status": "running"}, "after": {"status": "paused"}}
            assert terminated["details"] == {"before": {"status": "paused"}, "after": {"status": "terminated"}}

    run_virtual(main())


def test_a_repeat_and_a_refused_order_leave_none() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(ASKING)
            id = (await s.start("asking")).instance_id
            await asyncio.gather(told(s, id, Pause()), told(s, id, Pause(reason="me too"), ANN))
            for _ in range(2):
                await told(s, id, Resume())
            for _ in range(2):
                await told(s, id, Decide(approved=True, form={"amount": 2}, step="act"))
            for _ in range(2):
                await told(s, id, Terminate())
            await in_history(s)
            await told(s, id, Terminate())
            assert [action for action, _, _ in trail(cluster)] == ["pause", "resume", "approve", "terminate"]
            assert {who for _, who, _ in trail(cluster)} == {"tester"}

    run_virtual(main())


def test_a_row_is_named_by_the_document_before_it_is_written_and_survives_the_owner() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with dying(cluster) as s:
            await s.define(WAITING)
            id = (await s.start("waiting")).instance_id
            delivery = s.faults.hold("before", on="bulk", index="workflow-audit-000001")
            await told(s, id, Signal(name="closed", payload="yes", reason="ticket 7"))
            await delivery.reached()
            entries = [entry for entry in live(cluster)[id]["outbox"] if entry[0] == "audit"]
            assert [entry[1] for entry in entries] == ["workflow-audit-000001"]
            assert trail(cluster) == []
        async with scheduler(cluster, replica_id="replica-b") as s:
            await asyncio.sleep(5)
            assert trail(cluster) == [("signal", "tester", id)]
            await s.run_all(1)
            await in_history(s)
            assert trail(cluster) == [("signal", "tester", id)]

    run_virtual(main())


def test_a_row_whose_write_was_not_answered_is_neither_lost_nor_doubled() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(TWO_STEPS)
            id = (await s.start("two")).instance_id
            s.faults.lose_answer(on="bulk", index=LANE)
            await told(s, id, Pause())
            s.faults.lose_answer(on="bulk", index="workflow-audit-000001", times=2)
            await told(s, id, Resume())
            await asyncio.sleep(30)
            assert [action for action, _, _ in trail(cluster)] == ["pause", "resume"]

    run_virtual(main())


def test_a_redrive_is_in_the_trail_and_does_not_hide_what_was_before() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FRAIL)
            id = await fail_second(s)
            for n in (1, 2):
                await in_history(s)
                await told(s, id, Retry(reason=f"try {n}"))
                await s.fail(await s.claim_one(), "boom")
            await in_history(s)
            assert trail(cluster) == [("retry", "tester", id)] * 2
            reasons = {row["event"]["reason"] for row in order_rows(cluster)}
            assert reasons == {"try 1", "try 2"}

    run_virtual(main())


def test_a_decision_on_an_item_is_recorded_under_the_instance_that_people_know() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await s.define(FAN)
            id = (await s.start("fan", hosts=[1, 2])).instance_id
            await asyncio.sleep(10)
            await s.replica.decide(
                ANYBODY, id, approved=True, step="each-host[1].apply", body=DecisionBody(comment="go")
            )
            await asyncio.sleep(2)
            assert trail(cluster) == [("approve", "tester", id)]
            (row,) = order_rows(cluster)
            assert row["step"] == {"path": "each-host[1].apply"}

    run_virtual(main())
