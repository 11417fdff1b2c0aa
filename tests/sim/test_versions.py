"""Which version is active: activations, rollbacks and lost races (`catalog.activations`, `operations.versioning`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from leasehold.claim.wire.versions import ActivateBody, CanaryBody, RollbackBody, VersionsView
from leasehold.core.catalog.documents import HeadDocument
from leasehold.core.errors import InvalidRequest, NotFound, VersionConflict
from leasehold.core.es.lines import create_line
from leasehold.core.principal import Principal
from leasehold.core.problems import problem_of

from tests.kit.schedulers import ANYBODY, NAMES, Scheduler, documents, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

BOB = Principal("bob", "acme")
STRANGER = Principal("stranger", "globex")


def source(version: int) -> bytes:
    return (
        f"name: flow\nversion: {version}\ndescription: the one of {version}\nsteps: [{{name: only, executor: work}}]\n"
    ).encode()


@asynccontextmanager
async def with_versions(count: int, *, active: int) -> AsyncIterator[Scheduler]:
    """A replica whose `flow` has so many versions, of which one is active and none was before."""
    async with scheduler(new_cluster()) as s:
        for version in range(1, count + 1):
            await s.replica.put_definition(ANYBODY, "flow", source(version), activate=version == active)
        yield s


def actions(view: VersionsView) -> list[tuple[str, int, str | None]]:
    return [(one.action, one.version, one.by) for one in view.activations]


async def activate(s: Scheduler, version: int, if_active: int | None = None, who: Principal = ANYBODY) -> VersionsView:
    return await s.replica.activate_version(who, "flow", ActivateBody(version, if_active))


async def roll_back(s: Scheduler, if_active: int | None = None) -> VersionsView:
    return await s.replica.roll_back_version(ANYBODY, "flow", RollbackBody(if_active))


def test_a_version_can_be_stored_without_becoming_the_active_one() -> None:
    async def main() -> None:
        async with with_versions(1, active=1) as s:
            stored = await s.replica.put_definition(ANYBODY, "flow", source(2), activate=False)
            assert (stored.created, stored.active) == (True, False)
            assert (await s.start("flow")).version == 1
            assert not (await s.replica.put_definition(ANYBODY, "flow", source(2), activate=False)).active
            assert (await s.replica.get_definition(ANYBODY, "flow", 2)).active is False

    run_virtual(main())


def test_a_name_of_which_no_version_was_activated_starts_nothing_and_can_be_read() -> None:
    async def main() -> None:
        async with with_versions(2, active=0) as s:
            with pytest.raises(NotFound):
                await s.start("flow")
            assert (await s.replica.list_definitions(ANYBODY)).definitions == []
            view = await s.replica.versions(ANYBODY, "flow")
            assert ([one.version for one in view.versions], view.active_version) == ([2, 1], None)
            assert (await s.replica.get_definition(ANYBODY, "flow", 1)).version == 1

    run_virtual(main())


def test_activating_and_rolling_back_go_through_the_versions_in_their_order() -> None:
    async def main() -> None:
        async with with_versions(3, active=1) as s:
            assert (await activate(s, 3)).rollback_to == 1
            await activate(s, 2)
            assert (await s.start("flow")).version == 2
            assert [(await roll_back(s)).active_version, (await roll_back(s)).active_version] == [3, 1]
            assert (await s.start("flow")).version == 1
            (listed,) = (await s.replica.list_definitions(ANYBODY)).definitions
            assert (listed.active_version, listed.versions, listed.description) == (1, [1, 2, 3], "the one of 1")
            with pytest.raises(InvalidRequest, match="no version of 'flow' was active before"):
                await roll_back(s)
            assert actions(await s.replica.versions(ANYBODY, "flow")) == [
                ("rolled_back", 1, "tester"),
                ("rolled_back", 3, "tester"),
                ("activated", 2, "tester"),
                ("activated", 3, "tester"),
                ("activated", 1, "tester"),
            ]

    run_virtual(main())


def test_activating_what_is_active_changes_nothing() -> None:
    async def main() -> None:
        async with with_versions(2, active=2) as s:
            before = await s.replica.versions(ANYBODY, "flow")
            assert await activate(s, 2, if_active=1) == before

    run_virtual(main())


def test_a_version_that_is_not_stored_can_be_neither_activated_nor_a_canary() -> None:
    async def main() -> None:
        async with with_versions(1, active=1) as s:
            with pytest.raises(NotFound):
                await activate(s, 7)
            with pytest.raises(NotFound):
                await s.replica.begin_canary(ANYBODY, "flow", CanaryBody(7, percent=1))
            with pytest.raises(NotFound):
                await s.replica.activate_version(ANYBODY, "../flow", ActivateBody(1))
            with pytest.raises(NotFound):
                await s.replica.activate_version(STRANGER, "flow", ActivateBody(1))

    run_virtual(main())


def test_a_condition_that_does_not_hold_names_the_version_that_is_active_and_who_made_it_so() -> None:
    async def main() -> None:
        async with with_versions(3, active=2) as s:
            with pytest.raises(VersionConflict, match="version 2 is active, by tester") as lost:
                await activate(s, 3, if_active=1)
            assert problem_of(lost.value).active_version == 2
            await activate(s, 3)
            with pytest.raises(VersionConflict, match="version 3 is active"):
                await roll_back(s, if_active=1)

    run_virtual(main())


def test_a_rollback_repeated_under_its_condition_goes_no_further_back() -> None:
    async def main() -> None:
        async with with_versions(3, active=1) as s:
            await activate(s, 2)
            await activate(s, 3)
            first = await roll_back(s, if_active=3)
            assert (first.active_version, await roll_back(s, if_active=3)) == (2, first)

    run_virtual(main())


async def race(s: Scheduler, mine: int, theirs: int) -> list[VersionsView | BaseException]:
    """Two activations, each of which reads the head before the other one writes it."""
    return list(await asyncio.gather(activate(s, mine), activate(s, theirs, who=BOB), return_exceptions=True))


def test_of_two_activations_at_once_one_wins_and_the_other_is_told_who() -> None:
    async def main() -> None:
        async with with_versions(3, active=1) as s:
            won, lost = sorted(await race(s, 2, 3), key=lambda one: isinstance(one, BaseException))
            assert isinstance(won, VersionsView)
            assert isinstance(lost, VersionConflict)
            assert lost.active == won.active_version
            assert won.activations[0].by is not None
            assert won.activations[0].by in str(lost)

    run_virtual(main())


def test_two_who_activate_the_same_version_at_once_both_have_their_wish() -> None:
    async def main() -> None:
        async with with_versions(2, active=1) as s:
            views = await race(s, 2, 2)
            assert [one.active_version for one in views if isinstance(one, VersionsView)] == [2, 2]
            assert len((await s.replica.versions(ANYBODY, "flow")).activations) == 2

    run_virtual(main())


def test_two_rollbacks_at_once_are_one() -> None:
    async def main() -> None:
        async with with_versions(3, active=1) as s:
            await activate(s, 2)
            await activate(s, 3)
            views = await asyncio.gather(roll_back(s), roll_back(s))
            assert [view.active_version for view in views] == [2, 2]

    run_virtual(main())


def test_an_activation_is_not_disturbed_by_a_version_that_is_stored_meanwhile() -> None:
    async def main() -> None:
        async with with_versions(2, active=1) as s:
            put = s.replica.put_definition(ANYBODY, "flow", source(3), activate=False)
            view, _ = await asyncio.gather(activate(s, 2), put)
            assert view.active_version == 2
            assert [one.version for one in (await s.replica.versions(ANYBODY, "flow")).versions] == [3, 2, 1]

    run_virtual(main())


def test_a_deleted_name_comes_back_by_a_rollback_or_by_an_activation() -> None:
    async def main() -> None:
        async with with_versions(2, active=1) as s:
            for bring_back in (roll_back(s), activate(s, 2)):
                await s.replica.delete_definition(ANYBODY, "flow")
                with pytest.raises(NotFound):
                    await s.start("flow")
                assert (await s.replica.versions(ANYBODY, "flow")).active_version is None
                await bring_back
                await s.start("flow")

    run_virtual(main())


def test_what_is_remembered_of_activations_is_bounded() -> None:
    async def main() -> None:
        async with with_versions(2, active=1) as s:
            for number in range(60):
                await activate(s, 2 - number % 2)
            assert len((await s.replica.versions(ANYBODY, "flow")).activations) == 50
            (head,) = documents(s.store.cluster, NAMES.definitions, "head").values()
            assert len(head["previous"]) == 20

    run_virtual(main())


def test_a_head_of_an_earlier_release_is_read_and_goes_on() -> None:
    async def main() -> None:
        async with with_versions(2, active=0) as s:
            old = b'{"kind":"head","tenant":"acme","name":"old","active":1,"versions":[1],"description":"as it was"}'
            assert msgspec.json.decode(old, type=HeadDocument).previous == []
            text = source(1).replace(b"flow", b"old")
            await s.replica.put_definition(Principal("x", "elsewhere"), "old", text)
            (version,) = (
                one
                for one in documents(s.store.cluster, NAMES.definitions, "version").values()
                if one["tenant"] == "elsewhere"
            )
            body = msgspec.json.encode({**version, "tenant": "acme"})
            await s.store.bulk([create_line("acme/old"), old, create_line("acme/old/1"), body], index=NAMES.definitions)
            assert (await s.start("old")).version == 1
            await s.replica.put_definition(ANYBODY, "old", source(2).replace(b"flow", b"old"))
            assert (await s.replica.versions(ANYBODY, "old")).rollback_to == 1

    run_virtual(main())
