"""What the searches behind the list of instances find, in documents and rows as the scheduler writes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from leasehold.claim.wire import ErrorInfo
from leasehold.claim.wire.search import STATUSES
from leasehold.core.errors import StoreRejected
from leasehold.core.es.instance_list import (
    Filter,
    Order,
    Page,
    Sort,
    attempts_with_body,
    counted,
    ended_body,
    ends_body,
    ids_of,
    live_body,
    lives_body,
)
from leasehold.core.es.lines import create_line
from leasehold.core.history_rows import instance_row, instance_row_id, step_row
from leasehold.core.lanes.codec import encode_document, encode_side
from leasehold.core.machine.events import AttemptRecord
from leasehold.core.machine.state import Instance, InstanceStatus
from leasehold.core.operations.searching.words import payload_words, words_of
from leasehold.core.ports import Store
from leasehold.core.principal import Principal
from leasehold.ilm import instances, steps
from msgspec.structs import replace

from .ground import LANE_FIELDS, Ground

ALL = Filter()
T0 = 1_767_225_600_000
KEPT_MS = 60_000
EVERYBODY = Principal("provider", "*", spaces=("*",))
ANN = Principal("ann", "acme", spaces=("soc",))


def made(id: str, at: int, status: str = "running", **more: Any) -> Instance:
    ended = {"finished_at_ms": T0 + at + 50} if status in ("succeeded", "failed", "cancelled", "terminated") else {}
    fixed = {"workflow": "one", "version": 1, "definition_tenant": "*", "tenant": "acme", "space": "soc"}
    return Instance(**{"id": id, "status": InstanceStatus(status), "created_at_ms": T0 + at, **fixed, **ended, **more})


LIVE = [
    made("l1", 1, started_by="ann", labels={"team": "soc", "a=b": "c"}),
    made("l2", 2, "waiting", version=2, workflow="two", correlation_id="order-1"),
    made("l3", 3, "paused", space="lab"),
    made("l4", 4, "cancelling", tenant="globex"),
    made("l5", 5, "failed", error=ErrorInfo("http.503", "web-01 said no")),
    made("l6", 6, parent_id="l1"),
    made("l7", 7, redrives=2, inputs={"host": "web-01"}),
]
ENDED = [
    made("e1", 1, "succeeded", inputs={"host": "db-7"}, outputs="# Summary\nDisk full", labels={"team": "soc"}),
    made("e2", 2, "failed", error=ErrorInfo("timeout", "no answer in 3.5 s"), started_by="bob", redrives=0),
    made("e2", 2, "terminated", redrives=1),
    made("e3", 3, "cancelled", tenant="globex", space="*", finished_at_ms=T0 + 9_000),
    made("e4", 4, "succeeded", parent_id="e1", version=2, workflow="two", correlation_id="order-1"),
]


def document(instance: Instance) -> bytes:
    updated_at_ms = T0 + 2_000 if instance.id == "l4" else 0
    return encode_document(
        instance, write_id="w", epoch=1, writer="r", answered_tokens=0, updated_at_ms=updated_at_ms, wake_at_ms=0,
        ready=[], rank=None, held=False, log_parts=0, log=(), outbox=(),
    )  # fmt: skip


class Snapshot:
    """Two points in time on LIVE and ENDED."""

    def __init__(self, store: Store, live: str, ended: str) -> None:
        self.store = store
        self.live = live
        self.ended = ended

    async def lives(self, which: Filter = ALL, by: Principal = EVERYBODY, order: Order = "asc") -> list[str]:
        page = await self.store.search(None, live_body(by, which, order, Page(self.live, 100, KEPT_MS)))
        return [hit.id for hit in page.hits]

    async def ends(
        self, which: Filter = ALL, by: Principal = EVERYBODY, sort: Sort = "created", order: Order = "asc"
    ) -> list[str]:
        page = await self.store.search(None, ended_body(by, which, sort, order, Page(self.ended, 100, KEPT_MS)))
        return [hit.id for hit in page.hits]


@pytest.fixture
async def filled(ground: Ground) -> Snapshot:
    lane, history = await ground.make_index(LANE_FIELDS), await ground.make_index(instances.FIELDS)
    lines = [line for one in LIVE for line in (create_line(one.id), document(one))]
    lines += [create_line("l1:inputs"), encode_side("l1", b"1"), create_line("fence"), b'{"kind":"fence"}']
    rows = [line for one in ENDED for line in (create_line(instance_row_id(one)), instance_row(one, [b"{}"], 0))]
    for index, items in ((lane, lines), (history, rows)):
        assert {item.status for item in await ground.store.bulk(items, index=index)} == {201}
        await ground.store.refresh(index)
    pits = [await ground.store.open_pit(index, keep_alive_ms=KEPT_MS) for index in (lane, history)]
    return Snapshot(ground.store, *pits)


async def test_lists_hold_instances_and_nothing_else_in_the_order_of_their_creation(filled: Snapshot) -> None:
    assert await filled.lives() == ["l1", "l2", "l3", "l4", "l5", "l7"]
    assert await filled.ends() == ["e1", "e2", "e2:r1", "e3"]
    assert await filled.lives(order="desc") == ["l7", "l5", "l4", "l3", "l2", "l1"]
    assert await filled.ends(order="desc") == ["e3", "e2", "e2:r1", "e1"]
    assert await filled.ends(sort="duration", order="desc") == ["e3", "e1", "e2", "e2:r1"]
    assert await filled.ends(sort="finished") == ["e1", "e2", "e2:r1", "e3"]


async def test_whoever_asks_finds_what_they_may_see_whatever_they_ask_for(filled: Snapshot) -> None:
    for which in (Filter(), Filter(tenant="acme", children=True)):
        extra = ["l6"] if which.children else []
        assert await filled.lives(which, ANN) == ["l1", "l2", "l5", *extra, "l7"]
    assert await filled.ends(by=ANN) == ["e1", "e2", "e2:r1"]
    for which in (Filter(tenant="globex"), Filter(space="lab"), Filter(space="*")):
        assert await filled.lives(which, ANN) == await filled.ends(which, ANN) == []
    assert await filled.lives(Filter(tenant="globex")) == ["l4"]
    assert await filled.ends(Filter(tenant="globex")) == await filled.ends(Filter(space="*")) == ["e3"]
    assert await filled.lives(Filter(space="lab")) == ["l3"]


@pytest.mark.parametrize(
    ("which", "lives", "ends"),
    [
        (Filter(statuses=("running",)), ["l1", "l7"], None),
        (Filter(statuses=("waiting", "paused")), ["l2", "l3"], None),
        (Filter(statuses=("failed",)), ["l5"], ["e2"]),
        (Filter(statuses=("failed", "running", "terminated")), ["l1", "l5", "l7"], ["e2", "e2:r1"]),
        (Filter(statuses=STATUSES), ["l1", "l2", "l3", "l4", "l5", "l7"], ["e1", "e2", "e2:r1", "e3"]),
        (Filter(workflow="two"), ["l2"], []),
        (Filter(workflow="two", children=True), ["l2"], ["e4"]),
        (Filter(version=2, children=True, correlation_id="order-1"), ["l2"], ["e4"]),
        (Filter(labels=("team=soc",)), ["l1"], ["e1"]),
        (Filter(labels=("team=soc", "a=b=c")), ["l1"], []),
        (Filter(parent="l1"), ["l6"], []),
        (Filter(parent="e1"), [], ["e4"]),
        (Filter(since_ms=T0 + 3), ["l3", "l4", "l5", "l7"], ["e3"]),
        (Filter(since_ms=T0 + 2, until_ms=T0 + 3), ["l2"], ["e2", "e2:r1"]),
        (Filter(error_type="timeout"), ["l5"], ["e2"]),
        (Filter(finished_since_ms=T0 + 1_000), ["l5"], ["e3"]),
        (Filter(finished_since_ms=1, changed_since_ms=T0 + 1_000), [], ["e3"]),
        (Filter(changed_since_ms=T0 + 1_000), ["l4"], ["e3"]),
        (Filter(started_by="bob"), ["l1", "l2", "l3", "l4", "l5", "l7"], ["e2"]),
        (Filter(text="disk FULL summary"), ["l1", "l2", "l3", "l4", "l5", "l7"], ["e1"]),
        (Filter(text="host 7"), ["l1", "l2", "l3", "l4", "l5", "l7"], ["e1"]),
        (Filter(text="disk host"), ["l1", "l2", "l3", "l4", "l5", "l7"], []),
        (Filter(text="answer 3.5"), ["l1", "l2", "l3", "l4", "l5", "l7"], ["e2"]),
    ],
)
async def test_filters_mean_the_same_in_lanes_and_in_history(
    filled: Snapshot, which: Filter, lives: list[str], ends: list[str] | None
) -> None:
    """What lanes do not index is left to whoever reads their documents."""
    assert await filled.lives(which) == lives
    if ends is not None:
        assert sorted(await filled.ends(which)) == ends


async def test_pages_follow_each_other_and_are_counted_up_to_a_bound(filled: Snapshot) -> None:
    seen: list[str] = []
    page = Page(filled.ended, 2, KEPT_MS)
    while (found := await filled.store.search(None, ended_body(EVERYBODY, ALL, "created", "desc", page))).hits:
        seen += [hit.id for hit in found.hits]
        page = Page(filled.ended, 2, KEPT_MS, after=found.hits[-1].sort)
        assert found.total is None
    assert seen == ["e3", "e2", "e2:r1", "e1"]
    for body, total in (
        (ended_body(EVERYBODY, ALL, "created", "desc", Page(filled.ended, 2, KEPT_MS)), 4),
        (live_body(EVERYBODY, ALL, "desc", Page(filled.live, 2, KEPT_MS)), 6),
    ):
        for bound in (1, total - 1, total, 10_000):
            found = await filled.store.search(None, counted(body, bound))
            assert (found.total, found.hits) == (min(bound, total), [])


async def test_a_page_may_be_narrowed_to_a_window_of_what_it_is_sorted_by(filled: Snapshot) -> None:
    sorts: list[tuple[Sort, int, list[str]]] = [("created", T0 + 2, ["e2", "e2:r1"]), ("finished", T0 + 51, ["e1"])]
    for sort, at_ms, ids in sorts:
        page = Page(filled.ended, 9, KEPT_MS, from_ms=at_ms, before_ms=at_ms + 1)
        found = await filled.store.search(None, ended_body(EVERYBODY, ALL, sort, "desc", page))
        assert [hit.id for hit in found.hits] == ids
    page = Page(filled.live, 9, KEPT_MS, from_ms=T0 + 2, before_ms=T0 + 4)
    found = await filled.store.search(None, live_body(EVERYBODY, Filter(since_ms=T0 + 3), "desc", page))
    assert [hit.id for hit in found.hits] == ["l3"]


async def test_a_list_is_sent_nothing_but_what_it_shows(filled: Snapshot) -> None:
    row = (
        await filled.store.search(None, ended_body(EVERYBODY, Filter(), "created", "asc", Page(filled.ended, 1, 1)))
    ).hits[0]
    lane = (await filled.store.search(None, live_body(EVERYBODY, Filter(), "desc", Page(filled.live, 1, 1)))).hits[0]
    assert not msgspec.json.decode(row.source).keys() & {"instance", "log", "inputs", "outputs", "usage"}
    assert not msgspec.json.decode(lane.source).keys() & {"inputs", "steps", "log", "outbox", "write_id"}
    assert msgspec.json.decode(lane.source)["redrives"] == 2


async def test_lives_and_later_ends_of_instances_in_doubt_are_found(filled: Snapshot) -> None:
    lives = await filled.store.search(None, lives_body(["l1", "l7", "l1:inputs", "e1"], filled.live, KEPT_MS))
    ends = await filled.store.search(None, ends_body(["e1"], ["e2", "e3"], filled.ended, KEPT_MS))
    of_live = await filled.store.search(None, ends_body(["e2"], [], filled.ended, KEPT_MS))
    assert {hit.id: hit.source for hit in lives.hits} == {"l1": b"{}", "l7": b'{"redrives":2}'}
    assert sorted(hit.id for hit in ends.hits) == ["e1", "e2:r1"]
    assert sorted(hit.id for hit in of_live.hits) == ["e2", "e2:r1"]


async def test_instances_are_found_by_the_payloads_of_their_attempts(ground: Ground) -> None:
    index = await ground.make_index(steps.FIELDS)
    record = AttemptRecord(
        path="scan", step="scan", executor="render", attempt=1, token=1, outcome="succeeded", worker="w",
        activated_at_ms=T0, ready_at_ms=T0, started_at_ms=T0, finished_at_ms=T0,
    )  # fmt: skip
    lines = []
    for id, attempt, tenant, output in (
        ("i1", 1, "acme", "disk full"),
        ("i1", 2, "acme", "full disk"),
        ("i2", 1, "acme", "disk"),
        ("i3", 1, "globex", "disk full"),
    ):
        row = step_row(made(id, 0, tenant=tenant), replace(record, attempt=attempt), {"host": "web"}, output)
        lines += [create_line(f"{id}:{attempt}"), row]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)

    async def found(text: str, ids: list[str], by: Principal = ANN) -> set[str]:
        return ids_of((await ground.store.search(index, attempts_with_body(by, ids, text))).aggregations)

    assert await found("full disk", ["i1", "i2", "i3"]) == {"i1"}
    assert await found("full disk", ["i1", "i2", "i3"], EVERYBODY) == {"i1", "i3"}
    assert await found("disk", ["i2", "i3"]) == {"i2"}
    assert await found("host", ["i1", "i2"]) == {"i1", "i2"}
    assert await found("disk host", ["i1", "i2"]) == set()


TEXTS = [
    "web-01.example.com", "it's 3.14 or 1,000", "snake_case and kebab-case", "http://a.b/c?d=e&f=g", "a.1 1.a b:c 5:6",
    "Größe ÄÖÜ naïve", "x'y 'quoted' ’s", "line\nbreak\ttab", "v1.2.3-rc4 #5 50%", "user@host.org", "C:\\temp\\x.log",
]  # fmt: skip


async def test_words_are_split_here_as_elasticsearch_splits_them(ground: Ground) -> None:
    """So a text finds in the documents of live instances what it will find in their rows."""
    index = await ground.make_index(instances.FIELDS)
    ended = [made(str(number), 0, "succeeded", inputs={"text": text}) for number, text in enumerate(TEXTS)]
    lines = [line for one in ended for line in (create_line(one.id), instance_row(one, [], 0))]
    await ground.store.bulk(lines, index=index)
    await ground.store.refresh(index)
    pit_id = await ground.store.open_pit(index, keep_alive_ms=KEPT_MS)
    wanted = sorted({word for text in TEXTS for word in (*words_of(text), *text.split())} | set(TEXTS))
    for text in wanted:
        body = ended_body(EVERYBODY, Filter(text=text), "created", "asc", Page(pit_id, 100, KEPT_MS))
        found = {hit.id for hit in (await ground.store.search(None, body)).hits}
        here = {one.id for one in ended if words_of(text) and words_of(text) <= payload_words(one.inputs)}
        assert found == here, text


async def test_a_point_in_time_is_taken_of_all_indices_that_a_pattern_names(ground: Ground, index_prefix: str) -> None:
    first, second = await ground.make_index(), await ground.make_index()
    for index in (first, second):
        await ground.store.bulk([create_line(f"in-{index}"), b'{"count":1}'], index=index)
    await ground.store.refresh(f"{index_prefix}-*")
    pit_id = await ground.store.open_pit(f"{index_prefix}-*", keep_alive_ms=KEPT_MS)
    page = await ground.store.search(None, {"pit": {"id": pit_id, "keep_alive": "60000ms"}, "sort": ["count"]})
    assert {hit.id for hit in page.hits} == {f"in-{first}", f"in-{second}"}

    await ground.remove_index(second)
    with pytest.raises(StoreRejected) as rejected:
        await ground.store.search(None, {"pit": {"id": pit_id, "keep_alive": "60000ms"}})
    assert rejected.value.status == 404


async def test_documents_show_what_a_list_shows_of_them(filled: Snapshot) -> None:
    body = live_body(EVERYBODY, Filter(text="x"), "desc", Page(filled.live, 1, KEPT_MS))
    (hit,) = (await filled.store.search(None, body)).hits
    assert msgspec.json.decode(hit.source)["inputs"] == {"host": "web-01"}
