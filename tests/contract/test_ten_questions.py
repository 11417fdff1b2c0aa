"""The ten questions of docs/history.md: each search as the page has it, on a real server, with rows that are known."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from leasehold.claim.wire import ErrorInfo, Usage
from leasehold.core.es import connect
from leasehold.core.es.lines import create_line
from leasehold.core.history_rows import instance_row, step_row
from leasehold.core.machine.events import AttemptRecord
from leasehold.core.machine.state import Instance, InstanceStatus
from leasehold.core.machine.times import Times, Waits
from leasehold.core.settings import StoreSettings
from leasehold.ilm import instances, steps

from tests.kit.markdown import ROOT, blocks

from .ground import ServerGround

HOUR, DAY = 3_600_000, 86_400_000
NOW = int(time.time() * 1_000)
# In the middle of an hour some hours ago, of another one, and of noon two days ago.
BUSY = NOW // HOUR * HOUR - 2 * HOUR + 30 * 60_000
LATER = BUSY + HOUR
NOON = NOW // DAY * DAY - 2 * DAY + DAY // 2
LONG_AGO = NOW - 45 * DAY

PAGE = (ROOT / "docs/history.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Ten questions\n")[2].partition("\n## ")[0]
QUESTIONS = re.split(r"^### \d+\. ", SECTION, flags=re.MULTILINE)[1:]


def attempt(
    id: str, workflow: str, step: str, capability: str, worker: str, tenant: str, at_ms: int, **more: Any
) -> tuple[str, bytes]:
    queue_ms, run_ms = more.pop("queue_ms"), more.pop("run_ms")
    error = more.pop("error", None)
    number, outcome = more.pop("attempt", 1), more.pop("outcome", "succeeded")
    instance = Instance(
        id=id, workflow=workflow, version=1, definition_tenant="*", tenant=tenant, space="s", created_at_ms=at_ms
    )
    record = AttemptRecord(
        path=step,
        step=step,
        executor=capability,
        attempt=number,
        token=number,
        outcome=outcome,
        worker=worker,
        activated_at_ms=0,
        ready_at_ms=at_ms - run_ms - queue_ms,
        started_at_ms=at_ms - run_ms,
        finished_at_ms=at_ms,
        error=None if error is None else ErrorInfo(error),
        usage=more.pop("usage", None),
        **more,
    )
    return f"{id}:{step}:{number}", step_row(instance, record, None, None)


def attempts() -> Iterator[tuple[str, bytes]]:
    scan = ("triage", "scan", "es-query")
    cost = Usage(llm_tokens=20, cost=0.5)
    yield attempt("a", *scan, "w1", "acme", BUSY, queue_ms=100, run_ms=4_000, usage=cost)
    failed = {"outcome": "failed", "error": "http.503"}
    yield attempt("b", *scan, "w1", "acme", BUSY, queue_ms=100, run_ms=4_000, usage=Usage(cost=0.25), **failed)
    yield attempt(
        "b", *scan, "w2", "acme", BUSY, queue_ms=100, run_ms=4_000, attempt=2, usage=Usage(llm_tokens=20, cost=0.25)
    )
    yield attempt("a", "triage", "write", "render", "w2", "acme", BUSY, queue_ms=10, run_ms=200, human_wait_ms=HOUR)
    draw = ("report", "draw", "render")
    yield attempt(
        "c",
        *draw,
        "w3",
        "beta",
        NOON,
        queue_ms=10,
        run_ms=900,
        outcome="timed_out",
        error="timeout",
        usage=Usage(cost=2),
    )
    yield attempt(
        "c", *draw, "w3", "beta", NOON, queue_ms=10, run_ms=900, attempt=2, outcome="lease_lost", error="lease_lost"
    )
    yield attempt("c", *draw, "w2", "beta", LATER, queue_ms=10, run_ms=900, attempt=3, usage=Usage(cost=1))
    yield attempt("z", "old", "scan", "es-query", "w9", "gone", LONG_AGO, queue_ms=9_999, run_ms=9_999, error="x")


def instance(
    id: str, workflow: str, version: int, took_ms: int, *, human_ms: int = 0, error: str = "", **more: Any
) -> tuple[str, bytes]:
    at_ms = more.pop("at_ms", BUSY)
    created_at_ms = at_ms - took_ms
    made = Instance(
        id=id,
        workflow=workflow,
        version=version,
        definition_tenant="*",
        tenant="acme",
        space="s",
        status=InstanceStatus.FAILED if error else InstanceStatus.SUCCEEDED,
        created_at_ms=created_at_ms,
        finished_at_ms=at_ms,
        error=ErrorInfo(error) if error else None,
        times=Times(waits=Waits(asked=((created_at_ms, created_at_ms + human_ms),))),
        **more,
    )
    return id, instance_row(made, [], 0)


def finished() -> Iterator[tuple[str, bytes]]:
    yield instance("a", "triage", 1, HOUR + 8_000, human_ms=HOUR)
    for number in range(101):
        yield instance(f"a{number}", "triage", 2, 10 * number)
    yield instance("child", "sub", 1, 1_000, parent_id="a")
    yield instance("o", "other", 1, 8_000, human_ms=3_000)
    yield instance("c", "report", 1, 1_000, error="timeout")
    yield instance("d", "report", 1, 1_000, error="http.503")
    yield instance("e", "report", 1, 1_000, error="http.503")
    yield instance("z", "old", 1, 9_999, at_ms=LONG_AGO)
    yield instance("y", "old", 1, 9_999, at_ms=LONG_AGO, error="x")


def named(buckets: dict[str, Any], read: Callable[[dict[str, Any]], Any]) -> dict[Any, Any]:
    """What is read of each bucket, by its key, in their order."""
    return {bucket["key"]: read(bucket) for bucket in buckets["buckets"]}


def count(bucket: dict[str, Any]) -> int:
    return int(bucket["doc_count"])


def counts(buckets: dict[str, Any]) -> dict[Any, int]:
    return named(buckets, count)


def day(at_ms: int) -> int:
    return at_ms // DAY * DAY


def about(value: float) -> Any:
    return pytest.approx(value, rel=0.02)


def slowest(found: dict[str, Any]) -> None:
    def step(bucket: dict[str, Any]) -> tuple[int, float, float]:
        return count(bucket), bucket["took"]["values"]["50.0"], bucket["took"]["values"]["95.0"]

    assert named(found["workflows"], lambda each: named(each["steps"], step)) == {
        "triage": {"scan": (3, 4_000, 4_000), "write": (1, 200, 200)},
        "report": {"draw": (3, 900, 900)},
    }


def failing(found: dict[str, Any]) -> None:
    assert named(found["executors"], lambda each: (count(each), counts(each["errors"]))) == {
        "w3": (2, {"timeout": 1, "lease_lost": 1}),
        "w1": (1, {"http.503": 1}),
    }


def tried_again(found: dict[str, Any]) -> None:
    read = named(found["tenants"], lambda each: (count(each), count(each["retries"])))
    assert list(read.items()) == [("beta", (3, 2)), ("acme", (4, 1))]


def by_version(found: dict[str, Any]) -> None:
    def version(bucket: dict[str, Any]) -> tuple[int, float]:
        return count(bucket), bucket["took"]["values"]["95.0"]

    read = named(found["workflows"], lambda each: list(named(each["versions"], version).items()))
    assert read == {
        "other": [(1, (1, 5_000))],
        "sub": [(1, (1, 1_000))],
        "triage": [(2, (101, about(950))), (1, (1, 8_000))],
    }


def costs(found: dict[str, Any]) -> None:
    expected: dict[int, dict[str, tuple[float, float]]] = {}
    expected.setdefault(day(BUSY), {})["acme"] = (1.0, 40)
    expected.setdefault(day(LATER), {})["beta"] = (1.0, 0)
    expected.setdefault(day(NOON), {})["beta"] = (2.0, 0)

    def tenant(bucket: dict[str, Any]) -> tuple[float, float]:
        return bucket["cost"]["value"], bucket["llm_tokens"]["value"]

    read = named(found["days"], lambda each: named(each["tenants"], tenant))
    assert read == expected
    assert list(read) == sorted(read, reverse=True)


def queues(found: dict[str, Any]) -> None:
    def capability(bucket: dict[str, Any]) -> tuple[int, float, float]:
        return count(bucket), bucket["waited"]["values"]["50.0"], bucket["waited"]["values"]["95.0"]

    read = named(found["capabilities"], capability)
    assert list(read.items()) == [("es-query", (3, 100, 100)), ("render", (2, 10, 10))]


def without_people(found: dict[str, Any]) -> None:
    def workflow(bucket: dict[str, Any]) -> tuple[int, float, float]:
        return count(bucket), bucket["net"]["values"]["95.0"], bucket["human_wait_ms"]["value"]

    read = named(found["workflows"], workflow)
    assert list(read.items()) == [("other", (1, 5_000, 3_000)), ("triage", (102, about(960), HOUR))]
    whole = named(found["workflows"], lambda each: each["whole"]["values"]["95.0"])
    assert whole == {"other": 8_000, "triage": about(960)}


def why(found: dict[str, Any]) -> None:
    read = named(found["workflows"], lambda each: counts(each["errors"]))
    assert read == {"report": {"http.503": 2, "timeout": 1}}


def busy(found: dict[str, Any]) -> None:
    read = named(found["hours"], lambda each: (count(each), each["queue_ms"]["value"]))
    assert list(read.items()) == [
        (BUSY // HOUR * HOUR, (4, 77.5)),
        (NOON, (2, 10)),
        (LATER // HOUR * HOUR, (1, 10)),
    ]


def hanging(found: dict[str, Any]) -> None:
    def step(bucket: dict[str, Any]) -> tuple[Any, ...]:
        return bucket["instances"]["value"], counts(bucket["outcomes"]), counts(bucket["executors"])

    read = named(found["workflows"], lambda each: named(each["steps"], step))
    assert read == {"report": {"draw": (1, {"lease_lost": 1, "timed_out": 1}, {"w3": 2})}}


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "Which steps are slowest?": slowest,
    "Which executors fail, and with what?": failing,
    "Whose steps are tried again?": tried_again,
    "Is the new version slower?": by_version,
    "What does each day cost?": costs,
    "Which capability has too few executors?": queues,
    "How long do workflows take without people?": without_people,
    "Why do workflows fail?": why,
    "When is it busy, and does work queue up then?": busy,
    "Which steps hang, or lose their executor?": hanging,
}


def question(section: str) -> str:
    return section.partition("\n")[0]


def search_of(section: str) -> tuple[str, dict[str, Any]]:
    """The alias that a section's search names, and its body."""
    (block,) = (each for each in blocks(section) if each.language == "console")
    line, _, body = block.text.partition("\n")
    method, _, path = line.partition(" ")
    assert (method, path.endswith("/_search")) == ("GET", True), line
    return path.removesuffix("/_search"), json.loads(body)


def test_the_page_has_ten_questions_and_each_has_both_forms() -> None:
    assert [question(section) for section in QUESTIONS] == list(CHECKS)
    assert all([each.language for each in blocks(section)] == ["esql", "console"] for section in QUESTIONS)


@pytest.mark.elasticsearch
async def test_each_search_of_the_page_answers_its_question(elasticsearch_url: str, index_prefix: str) -> None:
    async with connect(StoreSettings(urls=(elasticsearch_url,))) as store:
        ground = ServerGround(store, index_prefix)
        aliases = {}
        for alias, fields, rows in (
            ("workflow-steps", steps.FIELDS, attempts()),
            ("workflow-instances", instances.FIELDS, finished()),
        ):
            aliases[alias] = f"{index_prefix}-{alias}"
            index = await ground.make_index(fields, alias=aliases[alias])
            await store.bulk([line for id, row in rows for line in (create_line(id), row)], index=index)
            await store.refresh(index)
        for section in QUESTIONS:
            alias, body = search_of(section)
            status, answer = await store.request("GET", f"/{aliases[alias]}/_search", body)
            assert status == 200, (question(section), answer)
            CHECKS[question(section)](answer["aggregations"])
