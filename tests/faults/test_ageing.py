"""History rolls over, is blocked and merged all the time, while replicas die and stand still: each row is there once.

Clients say what was acknowledged (`ageing.load`); the indices are read one by one, past all replicas, so that a row in
two of them shows (`ageing.evidence`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from random import Random
from urllib.parse import quote

from tests.kit.served import calling

from .ageing.evidence import Row, listed, rows_of, verified, wrong_audit, wrong_instances, wrong_steps
from .ageing.load import TENANT, WORKFLOWS, Ledger, Load, definition
from .ageing.rolling import FAMILIES, Rolling, policy
from .ground import Elasticsearch, Ground, serving

log = logging.getLogger(__name__)

SEED = int(os.environ.get("LEASEHOLD_TEST_SEED", "7"))
FAULTS_S = float(os.environ.get("LEASEHOLD_TEST_FAULTS_S", "16"))
ENDS_WITHIN_S = 60.0
EXECUTORS = 6
CALLERS = 3


async def put_policies(ground: Ground) -> None:
    async with calling(ground.replicas[0].url) as caller:
        for family in FAMILIES:
            status, answer = await caller.send("PUT", f"/_workflows/_ilm/{family}", policy(family))
            assert status == 200, answer


async def all_end(store: Elasticsearch) -> None:
    """Lanes hold nothing but their fences: every instance is history, and every start is in the trail."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + ENDS_WITHIN_S
    while left := [hit for hit in await store.hits("lane-*") if hit["_source"]["kind"] != "fence"]:
        assert loop.time() < until_s, f"{len(left)} documents are left: {left[:5]}"
        await asyncio.sleep(0.3)


async def remove(row: Row, store: Elasticsearch) -> None:
    """As somebody does who may do anything."""
    index = row.index.removeprefix(f"{store.prefix}-")
    await store.send("PUT", f"{index}/_settings", {"index.blocks.write": False})
    await store.send("DELETE", f"{index}/_doc/{quote(row.id)}?refresh=true")


async def test_every_row_is_there_once_while_history_rolls_and_replicas_die_and_stand_still(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    random, ledger = Random(SEED), Ledger()
    often = {"LEASEHOLD_LIFECYCLE_EVERY_MS": "1000"}
    async with serving(elasticsearch_url, index_prefix, tmp_path, random, settings=often) as here:
        await put_policies(here)
        async with here.client(tenant=TENANT) as client:
            for name in WORKFLOWS:
                await client.put_definition(name, definition(name))
        load, rolling = Load(here, ledger), Rolling(here.store, random)
        executors = [asyncio.create_task(load.work(f"executor-{n}")) for n in range(EXECUTORS)]
        callers = [asyncio.create_task(load.start(f"caller-{n}")) for n in range(CALLERS)]

        await asyncio.gather(here.torment(FAULTS_S), rolling.run(FAULTS_S))
        load.starting = False
        await asyncio.gather(*callers)
        await all_end(here.store)
        for task in executors:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*executors, return_exceptions=True)

        families = {family: await rows_of(here.store, family) for family in FAMILIES}
        instances, url = families["instances"], here.replicas[0].url
        log.info("accidents %s; rolling %s", dict(here.accidents), dict(rolling.done))
        log.info("indices %s", {family: len({row.index for row in rows}) for family, rows in families.items()})
        log.info("rows %s; told %s", {family: len(rows) for family, rows in families.items()}, dict(ledger.told))
        log.info("started %d, cancelled %d", len(ledger.started), len(ledger.cancelled))

        assert await rolling.written_after_block() == []
        assert wrong_instances(instances, ledger) == {}
        assert wrong_steps(families["steps"], instances, ledger) == {}
        assert wrong_audit(families["audit"], instances, ledger) == {}
        assert sorted(await listed(url)) == sorted((row.id, row.source["status"]) for row in instances)
        report = await verified(url)
        log.info("verified %s", report)
        assert (report.findings, report.rows) == ([], len(families["audit"]))
        assert set(here.accidents) == {"killed", "stood still"}
        assert {"rolled", "blocked", "merged"} <= rolling.done.keys()

        removed = random.choice([row for row in families["audit"] if row.source["event"]["action"] == "start"])
        await remove(removed, here.store)
        chain = removed.source["chain"]
        findings = (await verified(url)).findings
        assert [(one.index, one.writer, one.seq) for one in findings] == [
            (removed.index, chain["writer"], chain["seq"])
        ]
