"""Live instances go on under another version where their past would be the same (`operations.versioning`)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from leasehold.claim.wire import CompleteBody
from leasehold.claim.wire.versions import MigrateBody, MigrationResult, MigrationResults
from leasehold.core.errors import InvalidRequest, NotFound
from leasehold.core.principal import Principal

from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, NAMES, SETTINGS, Scheduler, live, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual
from tests.sim.test_forwarding import pair

FIRST = """
name: flow
version: 1
steps:
  - {name: fetch, executor: work, input: {of: 1}}
  - {name: store, executor: work, input: {got: "{{ steps.fetch.result }}"}}
  - {name: report, executor: work}
"""
# The past of who has not come to `store` is the same: what follows `fetch` is another step, with a step before it.
LATER = """
name: flow
version: 2
max_duration: 5m
steps:
  - {name: fetch, executor: work, input: {of: 1}}
  - {name: check, executor: work, input: {checked: "{{ steps.fetch.result }}"}}
  - {name: store, executor: work, timeout: 2m}
"""
OTHER_PAST = FIRST.replace("of: 1", "of: 2").replace("version: 1", "version: 3")


async def define(s: Scheduler) -> None:
    for source in (FIRST, LATER, OTHER_PAST):
        await s.replica.put_definition(ANYBODY, "flow", source.encode(), activate=source is FIRST)


async def migrate(
    s: Scheduler, to: int = 2, instance_id: str | None = None, who: Principal = ANYBODY, **more: Any
) -> MigrationResults:
    return await s.replica.migrate(who, "flow", MigrateBody(1, to, instance_id, **more))


async def migrate_one(s: Scheduler, instance_id: str, to: int = 2, **more: Any) -> MigrationResult:
    (result,) = (await migrate(s, to, instance_id, **more)).results
    return result


def test_an_instance_whose_past_is_the_same_goes_on_under_the_new_version() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            step = await s.claim_one()
            assert (await migrate_one(s, started.instance_id)).outcome == "migrated"
            (document,) = live(s.store.cluster).values()
            assert (document["version"], document["log"][-1][0]) == (2, "migrated")
            await s.complete(step, "found")
            names = [step.step_name for step in await s.run_all(2)]
            assert names == ["check", "store"]
            view = await s.replica.instance(ANYBODY, started.instance_id)
            assert (view.status, view.version) == ("succeeded", 2)

    run_virtual(main())


def test_the_new_versions_time_limits_hold_from_then_on() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            await migrate_one(s, started.instance_id)
            await asyncio.sleep(310)
            view = await s.replica.instance(ANYBODY, started.instance_id)
            assert (view.status, view.error.type if view.error else None) == ("failed", "max_duration")

    run_virtual(main())


def test_an_instance_with_another_past_stays_and_the_first_difference_is_told() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            result = await migrate_one(s, started.instance_id, to=3)
            assert result.outcome == "differs"
            assert result.difference is not None
            assert (result.difference.event, result.difference.path, result.difference.field) == (1, "fetch", "input")
            assert "event 1 (started)" in (result.detail or "")
            await s.run_all(1)
            late = await migrate_one(s, started.instance_id)
            assert late.difference is not None
            assert (late.outcome, late.difference.happened) == ("differs", "completed")
            assert (await s.replica.instance(ANYBODY, started.instance_id)).version == 1

    run_virtual(main())


def test_a_dry_run_says_what_would_become_of_it_and_changes_nothing() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            assert (await migrate_one(s, started.instance_id, dry_run=True)).outcome == "would_migrate"
            assert (await s.replica.instance(ANYBODY, started.instance_id)).version == 1

    run_virtual(main())


def test_a_repeated_migration_is_fulfilled_already() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            assert [(await migrate_one(s, started.instance_id)).outcome for _ in range(2)] == ["migrated", "migrated"]
            (document,) = live(s.store.cluster).values()
            assert [entry[0] for entry in document["log"]] == ["started", "migrated"]

    run_virtual(main())


def test_a_migrated_instance_survives_its_owner_and_can_be_moved_on() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await define(s)
            started = await s.start("flow")
            await migrate_one(s, started.instance_id)
        async with scheduler(cluster, replica_id="replica-b", seed=2) as s:
            again = LATER.replace("version: 2", "version: 4").replace("name: check", "name: inspect")
            await s.replica.put_definition(ANYBODY, "flow", again.encode(), activate=False)
            body = MigrateBody(2, 4, started.instance_id)
            (result,) = (await s.replica.migrate(ANYBODY, "flow", body)).results
            assert result.outcome == "migrated"
            assert [step.step_name for step in await s.run_all(3)] == ["fetch", "inspect", "store"]

    run_virtual(main())


def test_all_live_instances_are_found_page_by_page() -> None:
    async def main() -> None:
        async with scheduler(new_cluster(lanes=2), settings=SETTINGS) as s:
            await define(s)
            ids = {(await s.start("flow")).instance_id for _ in range(25)}
            done = await s.claim_one()
            await s.complete(done, 1)
            after, results = None, []
            while True:
                page = await migrate(s, limit=4, after=after)
                assert len(page.results) <= 4
                results += page.results
                after = page.next
                if after is None:
                    break
            assert {result.instance_id for result in results} == ids
            stayed = [result.instance_id for result in results if result.outcome == "differs"]
            assert stayed == [done.workflow_id]
            left = await migrate(s)
            assert [result.instance_id for result in left.results] == stayed

    run_virtual(main())


def test_instances_of_lanes_that_others_own_are_moved_by_their_owners() -> None:
    async def main() -> None:
        async with pair(new_cluster(), peers := ModelPeers()) as (owner, other):
            await define(owner)
            started = [(await owner.start("flow")).instance_id for _ in range(3)]
            page = await migrate(other)
            assert [result.outcome for result in page.results] == ["migrated"] * 3
            assert peers.asked["migrate"] == 1
            assert {(await other.replica.instance(ANYBODY, id)).version for id in started} == {2}

    run_virtual(main())


def test_an_instance_that_left_memory_is_brought_in_and_moved() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            waiting = """
name: flow
version: 5
steps:
  - {name: pause, wait: 3m}
  - {name: end, executor: work}
"""
            longer = waiting.replace("version: 5", "version: 6").replace("3m", "5m")
            for source in (waiting, longer):
                await s.replica.put_definition(ANYBODY, "flow", source.encode(), activate="version: 5" in source)
            started = await s.start("flow")
            await asyncio.sleep(60)
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(5, 6))).results
            assert result.outcome == "migrated"
            await asyncio.sleep(180)
            assert await s.status(started.instance_id) == "waiting"
            await asyncio.sleep(65)
            assert [step.step_name for step in await s.run_all(1)] == ["end"]

    run_virtual(main())


def test_parts_of_the_log_that_have_left_for_history_are_replayed_too() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            source = FIRST.replace("executor: work, input: {of: 1}", "executor: work, input: {of: 1}, retry: {max: 1}")
            for version, text in ((7, source), (8, source.replace("name: report", "name: tell"))):
                text = text.replace("version: 1", f"version: {version}")
                await s.replica.put_definition(ANYBODY, "flow", text.encode(), activate=version == 7)
            started = await s.start("flow")
            for _ in range(400):
                step = await s.claim_one()
                await s.replica.release(ANYBODY, step.step_id)
            await asyncio.sleep(5)
            (document,) = live(s.store.cluster).values()
            assert document["log_parts"] >= 1
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(7, 8))).results
            assert result.outcome == "migrated", result
            await s.run_all(3)
            assert (await s.replica.instance(ANYBODY, started.instance_id)).steps[-1].name == "tell"

    run_virtual(main())


def test_results_that_the_state_holds_no_more_are_read_from_the_rows_of_their_attempts() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            source = """
name: flow
version: 9
steps:
  - name: until
    while: "{{ (steps.probe.result or 0) < 5 }}"
    steps: [{name: probe, executor: work}]
  - {name: last, executor: work}
"""
            other = source.replace("version: 9", "version: 10").replace("< 5", "< 4")
            later = source.replace("version: 9", "version: 11").replace("name: last", "name: end")
            for text in (source, other, later):
                await s.replica.put_definition(ANYBODY, "flow", text.encode(), activate="version: 9\n" in text)
            await s.start("flow")
            for number in (1, 2, 3, 4):
                step = await s.claim_one()
                await s.replica.complete(ANYBODY, step.step_id, CompleteBody(number))
            await asyncio.sleep(5)
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(9, 10))).results
            assert result.outcome == "differs"
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(9, 11))).results
            assert result.outcome == "migrated", result

    run_virtual(main())


def test_what_happens_while_history_is_read_is_replayed_as_well() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            source = """
name: flow
version: 12
steps:
  - name: until
    while: "{{ (steps.probe.result or 0) < 4 }}"
    steps: [{name: probe, executor: work}]
  - {name: last, executor: work}
"""
            later = source.replace("version: 12", "version: 13").replace("name: last", "name: end")
            for text in (source, later):
                await s.replica.put_definition(ANYBODY, "flow", text.encode(), activate=text is source)
            await s.start("flow")
            for number in (1, 2, 3):
                await s.replica.complete(ANYBODY, (await s.claim_one()).step_id, CompleteBody(number))
            step = await s.claim_one()
            await asyncio.sleep(5)
            held = s.faults.hold("after", on="search", index=NAMES.steps)
            migrating = asyncio.create_task(s.replica.migrate(ANYBODY, "flow", MigrateBody(12, 13)))
            async with asyncio.timeout(60):
                await held.reached()
            await s.replica.complete(ANYBODY, step.step_id, CompleteBody(4))
            held.release()
            (result,) = (await migrating).results
            assert result.difference is not None
            assert (result.outcome, result.difference.path) == ("differs", "last")

    run_virtual(main())


def test_what_ends_and_what_is_not_there_stays() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            await s.replica.terminate(ANYBODY, started.instance_id, None)
            assert (await migrate_one(s, started.instance_id)).outcome == "ended"
            assert (await migrate_one(s, "00-nowhere")).outcome == "ended"
            assert (await migrate_one(s, "no id")).outcome == "ended"
            assert (await migrate(s)).results == []

    run_virtual(main())


def test_a_stranger_moves_nothing() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            started = await s.start("flow")
            stranger = Principal("stranger", "globex")
            with pytest.raises(NotFound):
                await migrate(s, who=stranger)
            for source in (FIRST, LATER):
                await s.replica.put_definition(stranger, "flow", source.encode())
            assert (await migrate(s, who=stranger)).results == []
            (result,) = (await migrate(s, instance_id=started.instance_id, who=stranger)).results
            assert result.outcome == "ended"

    run_virtual(main())


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (MigrateBody(1, 1), InvalidRequest, "name two versions"),
        (MigrateBody(1, 77), NotFound, "version 77"),
        (MigrateBody(1, 2, after="x"), InvalidRequest, "the `next` of the answer before"),
    ],
)
def test_a_migration_that_makes_no_sense_is_refused(body: MigrateBody, error: type[Exception], words: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await define(s)
            with pytest.raises(error, match=words):
                await s.replica.migrate(ANYBODY, "flow", body)

    run_virtual(main())


EACH = """
name: flow
version: 20
steps:
  - foreach: "{{ [1, 2, 3] }}"
    name: each
    steps: [{name: one, executor: work}]
  - {name: last, executor: work}
  - {name: more, executor: work}
"""


def test_an_instance_whose_items_are_under_way_stays_until_they_have_ended() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            for text in (EACH, EACH.replace("20", "21").replace("more", "end")):
                await s.replica.put_definition(ANYBODY, "flow", text.encode(), activate="20" in text)
            other_items = EACH.replace("20", "22").replace("executor: work}]", "executor: work, input: 1}]")
            await s.replica.put_definition(ANYBODY, "flow", other_items.encode(), activate=False)
            started = await s.start("flow")
            step = await s.claim_one()
            results = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(20, 21))).results
            assert [(result.instance_id, result.outcome, result.detail) for result in results] == [
                (started.instance_id, "stays", "items of step 'each' are under way; ask again when they have ended")
            ]
            share = next(id for id in live(s.store.cluster) if id != started.instance_id)
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(20, 21, share))).results
            assert (result.outcome, started.instance_id in (result.detail or "")) == ("stays", True)
            await s.complete(step)
            await s.run_all(2)
            await asyncio.sleep(5)
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(20, 22))).results
            assert (result.outcome, result.difference and result.difference.path) == ("differs", "each[0].one")
            (result,) = (await s.replica.migrate(ANYBODY, "flow", MigrateBody(20, 21))).results
            assert result.outcome == "migrated", result
            assert [step.step_name for step in await s.run_all(2)] == ["last", "end"]

    run_virtual(main())


def test_a_sub_workflow_is_moved_by_itself_and_its_parent_beside_it() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            parent = "name: outer\nversion: 1\nsteps: [{name: inner, workflow: flow}, {name: after, executor: work}]\n"
            await define(s)
            for text in (parent, parent.replace("version: 1", "version: 2").replace("name: after", "name: later")):
                await s.replica.put_definition(ANYBODY, "outer", text.encode(), activate="version: 1" in text)
            started = await s.start("outer")
            await asyncio.sleep(1)
            (inner,) = (await migrate(s)).results
            assert inner.outcome == "migrated"
            (outer,) = (await s.replica.migrate(ANYBODY, "outer", MigrateBody(1, 2))).results
            assert (outer.instance_id, outer.outcome) == (started.instance_id, "migrated")
            assert [step.step_name for step in await s.run_all(4)] == ["fetch", "check", "store", "later"]
            await asyncio.sleep(1)
            assert await s.status(started.instance_id) == "succeeded"

    run_virtual(main())
