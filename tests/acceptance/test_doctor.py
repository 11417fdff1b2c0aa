"""`leasehold doctor` as a process, against a running server and against none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from leasehold.core.es import connect
from leasehold.core.settings import StoreSettings

from tests.kit.answering import answering_replica
from tests.kit.served import free_port

PROGRAM = "from leasehold.core.app.script import main; main()"


def doctor(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, "doctor", "--server", f"http://127.0.0.1:{port}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_without_a_server_it_says_so_in_one_sentence_with_the_way_out() -> None:
    ended = doctor(free_port())
    assert ended.returncode == 1
    assert "start a server with `leasehold serve`, or name another with --server" in ended.stderr
    assert ended.stderr.count("\n") == 1


async def test_it_ends_with_1_until_what_it_finds_is_repaired(elasticsearch_url: str, index_prefix: str) -> None:
    async with (
        answering_replica(elasticsearch_url, index_prefix) as answering,
        connect(StoreSettings(urls=(elasticsearch_url,))) as store,
    ):
        async with asyncio.timeout(20):
            while not all(lane.mine for lane in await answering.replica.lanes()):
                await asyncio.sleep(0.05)
        healthy = await asyncio.to_thread(doctor, answering.port)
        assert (healthy.returncode, healthy.stdout) == (0, "13 checks, nothing found\n")

        await store.request("DELETE", f"/_index_template/{index_prefix}-lane")
        ill = await asyncio.to_thread(doctor, answering.port)
        assert ill.returncode == 1
        assert f"error: templates: The index template {index_prefix}-lane is missing" in ill.stdout
        assert ill.stdout.endswith("13 checks, 1 found, 1 of them can be repaired with --fix\n")

        cured = await asyncio.to_thread(doctor, answering.port, "--fix", "--json")
        assert cured.returncode == 0
        (finding,) = json.loads(cured.stdout)["findings"]
        assert (finding["fixed"], finding["done"]) == (
            True,
            f"put the index template {index_prefix}-lane of this release",
        )

        refused = await asyncio.to_thread(doctor, answering.port, "--roles", "")
        assert refused.returncode == 1
        assert "operator" in refused.stderr
