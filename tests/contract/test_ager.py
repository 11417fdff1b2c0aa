"""The ager on a real server: each action, one after the other, whatever it dies at and whoever else is at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from leasehold.core.errors import StoreUnavailable
from leasehold.core.es import connect
from leasehold.core.settings import StoreSettings
from leasehold.ilm import IndexNames
from leasehold.ilm.lifecycle import Ager

from .ageing import DAY_MS, FAMILY, HOUR_MS, Counted, Ground, phase, policy, told

pytestmark = pytest.mark.elasticsearch

WARM = phase("1d", readonly={}, forcemerge={"max_num_segments": 1}, set_priority={"priority": 50})
COLD = phase("2d", allocate={"number_of_replicas": 0, "include": {"box": "big"}}, set_priority={"priority": 0})
DELETE = phase("3d", delete={})
WHOLE = {FAMILY: policy(hot={"set_priority": {"priority": 100}}, warm=WARM, cold=COLD, delete=DELETE)}
ROLLS = {FAMILY: policy()}
SHORT = {FAMILY: policy(delete=phase("1h", delete={}))}


@pytest.fixture
async def ground(elasticsearch_url: str, index_prefix: str) -> AsyncIterator[Ground]:
    async with connect(StoreSettings(urls=(elasticsearch_url,))) as store:
        made = Ground(store, IndexNames(index_prefix))
        await made.make()
        yield made


def ager_of(ground: Ground) -> Ager:
    return Ager(Counted(ground.store), ground.names)


async def test_an_alias_rolls_when_a_condition_of_its_policy_is_met_and_not_before(ground: Ground) -> None:
    ager = ager_of(ground)
    await ground.write(1)
    assert await ager.pass_once(ROLLS, 0) == []
    await ground.write(1)

    assert told(await ager.pass_once(ROLLS, 0)) == [("rollover", "000001")]
    assert await ground.behind() == {ground.index(1): False, ground.index(2): True}
    assert await ager.pass_once(ROLLS, 0) == []


async def test_an_alias_rolls_by_age_but_never_an_empty_index(ground: Ground) -> None:
    by_age = {FAMILY: policy(hot={"rollover": {"max_age": "1ms"}})}
    ager = ager_of(ground)
    assert await ager.pass_once(by_age, 0) == []
    await ground.write(1)

    assert told(await ager.pass_once(by_age, 0)) == [("rollover", "000001")]


async def test_a_new_index_is_made_by_the_template(ground: Ground) -> None:
    await ground.write(2)
    await ager_of(ground).pass_once(ROLLS, 0)

    first, second = await ground.settings(1), await ground.settings(2)
    own = ("index.uuid", "index.creation_date", "index.provided_name")
    assert {name: value for name, value in first.items() if name not in own} == {
        name: value for name, value in second.items() if name not in own
    }


async def test_an_index_goes_through_its_whole_life(ground: Ground) -> None:
    ager = ager_of(ground)
    await ground.write(3, segments=True)
    assert told(await ager.pass_once(WHOLE, 0)) == [("set_priority", "000001"), ("rollover", "000001")]
    rolled_at_ms = await ground.rolled_at_ms(1)
    assert told(await ager.pass_once(WHOLE, rolled_at_ms + DAY_MS - 1)) == [("set_priority", "000002")]

    due = await ager.pass_once(WHOLE, rolled_at_ms + DAY_MS)
    assert told(due) == [("set_priority", "000001"), ("readonly", "000001"), ("forcemerge", "000001")]
    assert await ground.write_to(ground.index(1), "late") == 403
    # Not just the setting: the writes that were under way have been waited for.
    assert (await ground.settings(1))["index.verified_read_only"] == "true"

    async def is_merged() -> bool:
        return await ground.segments(1) == 1

    await ground.until(is_merged)
    await ground.until(lambda: _nothing_under_way(ager))
    assert await ager.pass_once(WHOLE, rolled_at_ms + 2 * DAY_MS - 1) == []
    cold = await ager.pass_once(WHOLE, rolled_at_ms + 2 * DAY_MS)
    assert told(cold) == [("set_priority", "000001"), ("allocate", "000001")]
    settings = await ground.settings(1)
    assert {name: settings[f"index.{name}"] for name in ("priority", "number_of_replicas", "auto_expand_replicas")} == {
        "priority": "0",
        "number_of_replicas": "0",
        "auto_expand_replicas": "false",
    }
    assert settings["index.routing.allocation.include.box"] == "big"
    assert await ager.pass_once(WHOLE, rolled_at_ms + 3 * DAY_MS - 1) == []

    assert told(await ager.pass_once(WHOLE, rolled_at_ms + 3 * DAY_MS)) == [("delete", "000001")]
    assert await ground.behind() == {ground.index(2): True}
    assert await ager.pass_once(WHOLE, rolled_at_ms + 300 * DAY_MS) == []


async def _nothing_under_way(ager: Ager) -> bool:
    return all(one.under_way is None for one in await ager.status(WHOLE, 0))


async def test_numbers_go_on_after_what_is_deleted_and_past_what_stands_outside_the_alias(ground: Ground) -> None:
    ager = ager_of(ground)
    await ground.must("PUT", f"/{ground.index(7)}", {})
    await ground.write(2)
    await ager.pass_once(SHORT, 0)
    assert await ground.behind() == {ground.index(1): False, ground.index(8): True}

    old_ms = await ground.rolled_at_ms(1) + HOUR_MS
    assert told(await ager.pass_once(SHORT, old_ms)) == [("delete", "000001")]
    await ground.write(2)
    assert told(await ager.pass_once(SHORT, 0)) == [("rollover", "000008")]
    assert await ground.behind() == {ground.index(8): False, ground.index(9): True}
    # It bears the name, but does not stand behind the alias.
    assert (await ground.settings(7))["index.provided_name"] == ground.index(7)


@pytest.mark.parametrize("agers", [2, 4])
async def test_agers_at_once_roll_once_and_do_everything(ground: Ground, agers: int) -> None:
    several = [ager_of(ground) for _ in range(agers)]
    await ground.write(3, segments=True)
    done = await asyncio.gather(*(ager.pass_once(WHOLE, 0) for ager in several))
    assert sum(one.action == "rollover" for per_ager in done for one in per_ager) == 1
    assert await ground.behind() == {ground.index(1): False, ground.index(2): True}

    old_ms = await ground.rolled_at_ms(1) + 3 * DAY_MS
    done = await asyncio.gather(*(ager.pass_once(WHOLE, old_ms) for ager in several))
    assert [one.error for per_ager in done for one in per_ager if one.error] == []
    assert await ground.behind() == {ground.index(2): True}


async def test_an_ager_that_looked_before_another_one_rolled_over_does_not_roll_again(ground: Ground) -> None:
    """Though the new index is full as well by the time that it asks."""
    await ground.write(2)
    raced = False

    async def requests(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        nonlocal raced
        if "/_rollover/" in path and not raced:
            raced = True
            assert told(await ager_of(ground).pass_once(ROLLS, 0)) == [("rollover", "000001")]
            await ground.write(2)
        return await ground.store.request(method, path, body)

    assert await Ager(requests, ground.names).pass_once(ROLLS, 0) == []
    assert await ground.behind() == {ground.index(1): False, ground.index(2): True}


async def test_whatever_request_an_ager_dies_at_the_next_one_does_the_rest(ground: Ground) -> None:
    await ground.write(3, segments=True)
    last = 0
    while True:
        requests = Counted(ground.store, last)
        try:
            await Ager(requests, ground.names).pass_once(WHOLE, 0)
        except StoreUnavailable:
            last += 1
            continue
        break
    assert await ground.behind() == {ground.index(1): False, ground.index(2): True}
    warm_ms = await ground.rolled_at_ms(1) + DAY_MS
    for last in range(1, 12):
        requests = Counted(ground.store, last)
        try:
            await Ager(requests, ground.names).pass_once(WHOLE, warm_ms)
        except StoreUnavailable:
            continue

    async def is_done() -> bool:
        [first, _] = await ager_of(ground).status(WHOLE, warm_ms)
        return not (first.due or first.under_way)

    await ground.until(is_done)
    settings = await ground.settings(1)
    assert (settings["index.blocks.write"], settings["index.priority"]) == ("true", "50")
    assert await ground.segments(1) == 1


async def test_a_pass_with_nothing_to_do_changes_nothing_and_asks_five_times(ground: Ground) -> None:
    """Four looks and, for one family, the question whether a condition is met. However many indices there are."""
    for _ in range(4):
        await ground.roll()
    requests = Counted(ground.store)
    assert await Ager(requests, ground.names).pass_once(ROLLS, 0) == []
    assert (requests.made, requests.changing) == (5, [f"POST /{ground.alias}/_rollover/{ground.index(6)}"])


async def test_one_force_merge_at_a_time(ground: Ground) -> None:
    await ground.write(3, segments=True)
    await ground.roll()
    await ground.write(3, segments=True)
    await ground.roll()
    merging = {FAMILY: policy(warm=phase("0ms", forcemerge={"max_num_segments": 1}))}
    ager = ager_of(ground)
    now_ms = await ground.rolled_at_ms(2)

    assert told(await ager.pass_once(merging, now_ms)) == [("forcemerge", "000001")]

    async def both() -> bool:
        await ager.pass_once(merging, now_ms)
        return [await ground.segments(number) for number in (1, 2)] == [1, 1]

    await ground.until(both)


async def test_what_a_block_of_an_operator_refuses_is_told_and_the_others_go_on(ground: Ground) -> None:
    for _ in range(2):
        await ground.roll()
    now_ms = await ground.rolled_at_ms(2) + HOUR_MS
    await ground.must("PUT", f"/{ground.index(1)}/_block/read_only")
    ager = ager_of(ground)

    assert told(await ager.pass_once(SHORT, now_ms)) == [("delete", "000002")]
    held, writing = await ager.status(SHORT, now_ms)
    assert held.error is not None
    assert f"{ground.index(1)} has index.blocks.read_only" in held.error
    assert writing.error is not None, (
        "Elasticsearch refuses to roll an alias over while any of its indices is read-only"
    )

    await ground.must("PUT", f"/{ground.index(1)}/_settings", {"index.blocks.read_only": None})
    assert told(await ager.pass_once(SHORT, now_ms)) == [("delete", "000001")]


async def test_elasticsearch_refuses_to_roll_over_while_any_index_behind_the_alias_is_read_only(ground: Ground) -> None:
    """Why the plan holds a roll-over back then: it would be refused every time."""
    await ground.roll()
    await ground.must("PUT", f"/{ground.index(1)}/_block/read_only")
    await ground.write(2)
    status, _ = await ground.store.request("POST", f"/{ground.alias}/_rollover")
    await ground.must("PUT", f"/{ground.index(1)}/_settings", {"index.blocks.read_only": None})
    assert status == 403


async def test_a_closed_index_is_left_until_it_is_to_be_deleted(ground: Ground) -> None:
    await ground.roll()
    now_ms = await ground.rolled_at_ms(1)
    await ground.must("POST", f"/{ground.index(1)}/_close")
    ager = ager_of(ground)

    assert told(await ager.pass_once(WHOLE, now_ms + DAY_MS)) == [("set_priority", "000002")]
    [first, _] = await ager.status(WHOLE, now_ms + DAY_MS)
    assert first.error is not None
    assert "it is closed" in first.error
    assert ("delete", "000001") in told(await ager.pass_once(WHOLE, now_ms + 3 * DAY_MS))


async def test_an_index_that_goes_while_a_pass_is_under_way_is_no_error(ground: Ground) -> None:
    await ground.write(3, segments=True)
    await ground.roll()
    now_ms = await ground.rolled_at_ms(1) + DAY_MS

    async def requests(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if method == "PUT":
            await ground.store.request("DELETE", f"/{ground.index(1)}")
        return await ground.store.request(method, path, body)

    done = await Ager(requests, ground.names).pass_once({FAMILY: policy(warm=WARM)}, now_ms)
    assert [one.error for one in done if one.error is not None] == []
    assert await ground.behind() == {ground.index(2): True}


async def test_no_index_but_ours_is_touched(ground: Ground) -> None:
    """Neither one that bears the name and is not behind the alias, nor one behind the alias with another name."""
    await ground.roll()
    named_alike, behind_it = ground.index(5), f"copy-of-{ground.alias}-000001"
    await ground.must("PUT", f"/{named_alike}", {})
    await ground.must("PUT", f"/{behind_it}", {"aliases": {ground.alias: {"is_write_index": False}}})
    try:
        far_ms = await ground.rolled_at_ms(1) + 1_000 * DAY_MS
        assert told(await ager_of(ground).pass_once(SHORT, far_ms)) == [("delete", "000001")]
        assert await ground.behind() == {behind_it: False, ground.index(2): True}
        assert (await ground.settings(5))["index.provided_name"] == named_alike
    finally:
        await ground.must("DELETE", f"/{behind_it}")


async def test_an_index_that_was_never_rolled_over_does_not_age(ground: Ground) -> None:
    """Somebody moved the alias by hand: when the last row came to the old index is not known."""
    await ground.must("PUT", f"/{ground.index(2)}", {})
    moved = [
        {"add": {"index": ground.index(1), "alias": ground.alias, "is_write_index": False}},
        {"add": {"index": ground.index(2), "alias": ground.alias, "is_write_index": True}},
    ]
    await ground.must("POST", "/_aliases", {"actions": moved})
    far_ms = 99 * 365 * DAY_MS

    assert await ager_of(ground).pass_once(SHORT, far_ms) == []
    [first, _] = await ager_of(ground).status(SHORT, far_ms)
    assert first.error is not None
    assert "never rolled over" in first.error


async def test_an_alias_that_writes_to_no_index_of_ours_is_left_alone_and_told(ground: Ground) -> None:
    await ground.roll()
    unmarked = [{"add": {"index": ground.index(2), "alias": ground.alias, "is_write_index": False}}]
    await ground.must("POST", "/_aliases", {"actions": unmarked})
    ager = ager_of(ground)

    assert await ager.pass_once(WHOLE, 99 * 365 * DAY_MS) == []
    [finding] = await ager.findings(WHOLE)
    assert finding.startswith(f"{ground.alias} writes to no index named")


async def test_a_cluster_that_is_read_only_refuses_and_is_told_of(ground: Ground) -> None:
    """The setting belongs to the whole cluster, so its answer is made up here, as the server gives it."""
    await ground.roll()
    blocked = {"type": "cluster_block_exception", "reason": "blocked by: [FORBIDDEN/6/cluster read-only (api)];"}

    async def requests(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        if path.startswith("/_cluster/settings"):
            return 200, {"persistent": {"cluster.blocks.read_only": "true"}, "transient": {}}
        if method != "GET":
            return 403, {"error": {"root_cause": [blocked], **blocked}, "status": 403}
        return await ground.store.request(method, path, body)

    ager = Ager(requests, ground.names)
    done = await ager.pass_once(WHOLE, await ground.rolled_at_ms(1) + DAY_MS)
    assert len(done) == 2, "one refusal for each index, whatever else would be due"
    assert all(one.error is not None and "cluster read-only" in one.error for one in done)
    [finding] = await ager.findings(WHOLE)
    assert "persistent setting cluster.blocks.read_only" in finding


async def test_status_says_where_every_index_stands(ground: Ground) -> None:
    ager = ager_of(ground)
    await ground.write(2)
    await ager.pass_once(WHOLE, 0)
    rolled_at_ms = await ground.rolled_at_ms(1)
    old, new = await ager.status(WHOLE, rolled_at_ms + DAY_MS)

    assert (old.family, old.index, old.phase, old.is_write_index) == (FAMILY, ground.index(1), "warm", False)
    assert (old.rolled_at_ms, old.docs, old.error) == (rolled_at_ms, 2, None)
    assert old.bytes > 0
    assert (old.done, old.due) == (
        ("hot.set_priority", "hot.rollover", "warm.forcemerge"),
        ("warm.set_priority", "warm.readonly"),
    )
    assert (old.next_phase, old.next_at_ms) == ("cold", rolled_at_ms + 2 * DAY_MS)
    assert (new.index, new.phase, new.is_write_index, new.rolled_at_ms) == (ground.index(2), "hot", True, None)
    assert (new.next_phase, new.next_at_ms, new.due) == ("warm", None, ("hot.set_priority",))
    assert await ager.findings(WHOLE) == []
