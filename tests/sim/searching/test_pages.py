"""Pages of one list: what they hold while everything moves, how they are counted, and whose they are."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from leasehold.claim.wire import StartItem
from leasehold.core.operations.searching import halves, search, tokens
from leasehold.core.settings import LaneSettings, SearchSettings, Settings

from tests.kit.model_store import ModelElasticsearch
from tests.kit.peering import ModelPeers
from tests.kit.schedulers import ANYBODY, NAMES, ONE_STEP, Scheduler, new_cluster, scheduler
from tests.kit.virtual_time import run_virtual

from .ground import listed, page, said

FEW_OPEN = Settings(lanes=LaneSettings(lanes=1), search=SearchSettings(open_lists_max=3))


async def filled(s: Scheduler, ended: int, live: int) -> list[str]:
    """Ids, oldest first."""
    await s.define(ONE_STEP)
    ids = [(await s.start("one", word="disk")).instance_id for _ in range(ended)]
    await s.run_all(ended)
    await asyncio.sleep(5)
    ids += [(await s.start("one", word="disk")).instance_id for _ in range(live)]
    await asyncio.sleep(2)
    return ids


def test_pages_show_what_stood_when_the_list_began() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            ids = await filled(s, 6, 6)
            first = await page(s, size=4, since="10s")
            seen = [one["instance_id"] for one in first["instances"]]
            following = first["next"]
            while following:
                await s.start("one")
                await s.run_all(2)
                await asyncio.sleep(20)
                one = await page(s, size=5, since="10s", next=following)
                seen += [it["instance_id"] for it in one["instances"]]
                following = one.get("next")
                assert one["total"] == first["total"] == {"value": 12, "relation": "eq"}
            assert seen == ids[::-1]
            assert cluster.open_pits == 0

    run_virtual(main())


def test_the_end_of_a_list_is_known() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await filled(s, 3, 3)
            for size in (6, 7, 1_000):
                assert "next" not in await page(s, size=size)
            second = await page(s, size=3, next=(await page(s, size=3))["next"])
            assert len(second["instances"]) == 3
            assert "next" not in second
            assert cluster.open_pits == 0

    run_virtual(main())


def test_a_list_goes_on_at_another_replica() -> None:
    async def main() -> None:
        cluster, peers = new_cluster(), ModelPeers()
        async with scheduler(cluster, peers=peers) as s, _second(cluster, peers) as other:
            ids = await filled(s, 3, 3)
            first = await page(s, size=4)
            rest = await page(other, size=4, next=first["next"])
            assert [one["instance_id"] for one in first["instances"] + rest["instances"]] == ids[::-1]

    run_virtual(main())


def _second(cluster: ModelElasticsearch, peers: ModelPeers) -> Any:
    return scheduler(cluster, replica_id="replica-b", seed=2, owning=False, peers=peers)


def test_a_list_that_nobody_goes_on_with_is_dropped_and_says_so() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster) as s:
            await filled(s, 3, 3)
            following = (await page(s, size=2))["next"]
            await asyncio.sleep(61)
            assert cluster.open_pits == 0
            answer = await said(s, size=2, next=following)
            assert (answer.status, answer.json["type"]) == (410, "urn:leasehold:problem:expired")
            assert "leave `next` out" in answer.json["detail"]

    run_virtual(main())


def test_so_many_lists_stay_open_and_who_has_most_loses_the_oldest() -> None:
    async def main() -> None:
        cluster = new_cluster()
        async with scheduler(cluster, settings=FEW_OPEN) as s:
            await filled(s, 3, 3)
            other = (await page(s, size=2, as_tenant="*", as_space="*"))["next"]
            mine = [(await page(s, size=2))["next"] for _ in range(4)]
            assert cluster.open_pits == 2 * 3
            answers = [(await said(s, size=9, next=one)).status for one in mine]
            assert answers == [410, 410, 200, 200]
            assert (await said(s, size=9, next=other, as_tenant="*", as_space="*")).status == 200
            assert cluster.open_pits == 0

    run_virtual(main())


def test_a_token_is_good_for_its_own_list_and_caller_alone() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await filled(s, 3, 3)
            following = (await page(s, size=2, workflow="one", since="1h"))["next"]
            good = {"size": 3, "workflow": "one", "since": "1h", "next": following}
            wrong: list[dict[str, Any]] = [
                {"workflow": "two"}, {"since": "2h"}, {"status": "running"}, {"order": "asc"}, {"sort": "finished"},
                {"as_tenant": "globex"}, {"as_tenant": "*", "as_space": "*"}, {"as_space": "lab"}, {"text": "disk"},
            ]  # fmt: skip
            for change in wrong:
                answer = await said(s, **{**good, **change})
                assert answer.status == 422, change
                assert "belongs to a list with other filters" in answer.json["detail"], change
            raw = bytearray(base64.urlsafe_b64decode(following + "=" * (-len(following) % 4)))
            for position in (0, 15, 16, 17, len(raw) - 1):
                forged = bytearray(raw)
                forged[position] ^= 1
                answer = await said(s, **{**good, "next": base64.urlsafe_b64encode(bytes(forged)).decode().rstrip("=")})
                assert answer.status == 422, position
            assert (await said(s, **good)).status == 200

    run_virtual(main())


def test_a_token_can_not_be_made_without_the_replicas_secret() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await filled(s, 3, 3)
            following = (await page(s, size=2))["next"]
            raw = base64.urlsafe_b64decode(following + "=" * (-len(following) % 4))
            for secret in ("", "guessed"):
                forged = tokens._mac(raw[16:], secret) + raw[16:]
                answer = await said(s, next=base64.urlsafe_b64encode(forged).decode().rstrip("="))
                assert "none that a page gave" in answer.json["detail"]

    run_virtual(main())


def test_a_total_is_exact_up_to_a_bound(monkeypatch: Any) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await filled(s, 6, 4)
            assert (await page(s, size=2))["total"] == {"value": 10, "relation": "eq"}
            monkeypatch.setattr(halves, "COUNTED_TO", 5)
            monkeypatch.setattr(search, "COUNTED_TO", 5)
            assert (await page(s, size=2))["total"] == {"value": 9, "relation": "gte"}
            assert (await page(s, size=10))["total"] == {"value": 10, "relation": "eq"}

    run_virtual(main())


def test_so_many_live_documents_are_looked_into_and_the_answer_says_so(monkeypatch: Any) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            ids = await filled(s, 2, 8)
            for bound, once in ((8, 3), (9, 9), (5, 2), (5, 5)):
                monkeypatch.setattr(halves, "LOOKED_AT_MAX", bound)
                monkeypatch.setattr(search, "LOOKED_AT_MAX", bound)
                monkeypatch.setattr(halves, "_LOOKED_AT_ONCE", once)
                looked_at = [*ids[::-1][: min(bound, 8)], ids[1], ids[0]]
                for size in (3, 50):
                    found = await listed(s, text="disk", size=size)
                    assert [one.partition(":")[0] for one in found] == looked_at, (bound, size)
                whole = await page(s, text="disk")
                assert bool(whole.get("incomplete")) == (bound <= 8)
                assert (await page(s)).get("incomplete") is None
            assert "the first 5 were looked into" in (await page(s, text="disk"))["incomplete"][0]

    run_virtual(main())


def test_a_plain_page_takes_few_requests() -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await filled(s, 12, 0)
            counted = ("search", "open_pit", "close_pit", "refresh", "mget", "get")
            s.store.requests.clear()
            await page(s, size=5)
            asked = {one: s.store.requests.get(one, 0) for one in counted}
            # Both are counted, the lanes hold nothing, and rows of success are in no doubt.
            assert asked == {"search": 3, "open_pit": 2, "close_pit": 0, "refresh": 1, "mget": 0, "get": 0}

    run_virtual(main())


def test_no_search_goes_on_for_ever_where_nothing_is_a_latest_life(monkeypatch: Any) -> None:
    async def main() -> None:
        from leasehold.core.orders import Retry

        from tests.kit.schedulers import ANYBODY

        monkeypatch.setattr(search, "_HITS_MAX", 6)
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            ids = []
            for _ in range(20):
                ids.append((await s.start("one")).instance_id)
                await s.fail(await s.claim_one(), "boom")
            await asyncio.sleep(10)
            for id in ids[1:]:
                await s.replica.steer(ANYBODY, id, Retry())
            await asyncio.sleep(1)
            first = await page(s, status="failed", size=2)
            assert first["instances"] == []
            assert first["next"]
            assert await listed(s, status="failed", size=2) == [f"{ids[0]}:failed"]
            assert NAMES.prefix == "workflow"

    run_virtual(main())


@pytest.mark.parametrize("sort", ["created", "finished"])
def test_a_list_of_many_is_read_in_windows_of_time_and_is_the_same(monkeypatch: Any, sort: str) -> None:
    async def main() -> None:
        async with scheduler(new_cluster()) as s:
            await s.define(ONE_STEP)
            for pause_s in (0, 0, 0.01, 0.2, 2, 7, 7, 0.1, 30, 90, 1.5):
                await asyncio.sleep(pause_s)
                # Two in one group write: they begin in the same millisecond.
                await s.replica.start_many(ANYBODY, [StartItem(workflow="one")] * 2, traceparent=None)
                if pause_s != 0.1:
                    await s.run_all(2)
            await asyncio.sleep(10)
            whole = await listed(s, sort=sort)
            assert len(whole) == (22 if sort == "created" else 20)
            monkeypatch.setattr(halves, "COUNTED_TO", 1)
            monkeypatch.setattr(halves, "_FIRST_WINDOW_MS", 10)
            monkeypatch.setattr(halves, "_WIDEST_MS", 50_000)
            until = set(await listed(s, until="20s", sort=sort, order="asc"))
            assert 0 < len(until) < len(whole)
            for size in (1, 3, 50):
                assert await listed(s, sort=sort, size=size) == whole
                found = await listed(s, sort=sort, size=size, until="20s")
                assert found == [one for one in whole if one in until]

    run_virtual(main())
