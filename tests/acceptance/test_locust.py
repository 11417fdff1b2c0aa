"""The locust users find a running replica as they expect it."""

from __future__ import annotations

import asyncio
import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.served import Served

ROOT = Path(__file__).parents[2]
LOCUSTFILE = ROOT / "bench" / "locustfile.py"
RUN = (
    "--headless",
    "--users",
    "10",
    "--spawn-rate",
    "10",
    "--run-time",
    "4s",
    "--stop-timeout",
    "10",
    "--only-summary",
)


def locust(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
async def test_a_headless_run_has_no_failure_and_works_through_every_kind_of_request(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    async with Served(elasticsearch_url, index_prefix, tmp_path / "scheduler.log") as replica:
        arguments = (*RUN, "--host", replica.url, "--csv", str(tmp_path / "run"))
        ran = await asyncio.to_thread(locust, *arguments, LEASEHOLD_HEARTBEAT_PERCENT="100")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with (tmp_path / "run_stats.csv").open() as file:
        rows = {f"{row['Name']}": row for row in csv.DictReader(file)}
    assert {name: row["Failure Count"] for name, row in rows.items()} == dict.fromkeys(rows, "0")
    for ending in ("_start", "_claim", "_heartbeat", "_complete"):
        assert any(name.endswith(ending) and int(row["Request Count"]) > 0 for name, row in rows.items()), ending


@pytest.mark.slow
def test_locust_lists_the_users_there_are() -> None:
    ran = locust("--list")
    assert ran.returncode == 0, ran.stderr
    assert {"Starter", "Executor", "BatchExecutor"} <= set(ran.stdout.split())
