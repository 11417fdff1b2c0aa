"""The benchmark runs, is correct, and cleans up. No test here asserts a time: what else the machine does is unknown."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "leasehold.bench", "latency", "--json", "--quick")
ENDS_WITHIN_S = 60


def environment(elasticsearch_url: str) -> dict[str, str]:
    return {**os.environ, "LEASEHOLD_ES_URL": elasticsearch_url}


def indices_of_benches(elasticsearch_url: str) -> set[str]:
    with urllib.request.urlopen(f"{elasticsearch_url}/_cat/indices/bench-*?h=index&format=json") as answer:
        return {row["index"] for row in json.load(answer)}


def test_a_quick_run_prints_one_report_with_nothing_lost_and_nothing_doubled(elasticsearch_url: str) -> None:
    before = indices_of_benches(elasticsearch_url)
    ran = subprocess.run(COMMAND, env=environment(elasticsearch_url), capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    assert report["scenario"] == "latency"
    assert report["wrong"] == dict.fromkeys(report["wrong"], 0)
    assert {"lost", "doubled"} <= report["wrong"].keys()
    assert report["correct"] is True
    assert [(target["name"], target["bar"], target["unit"]) for target in report["targets"]] == [
        ("start to claim at 20/s, p50", 5.0, "ms"),
        ("start to claim at 20/s, p99", 15.0, "ms"),
        ("start to claim at half of peak, p99", 100.0, "ms"),
    ]
    for target in report["targets"]:
        assert target["met"] == (target["value"] < target["bar"])
    at_twenty, at_half = report["figures"]["rates"]
    assert at_half["rate_per_s"] == report["figures"]["peak_per_s"] / 2
    assert at_twenty["starts_failed"] == 0
    for name in ("start_to_claim", "start_acknowledged", "commit_floor", "http_floor"):
        spread = at_twenty[name]
        assert spread["count"] >= 20
        assert 0 < spread["p50_ms"] <= spread["p99_ms"] <= spread["p99_9_ms"] <= spread["max_ms"]
    assert {"commit", "versions", "settings", "machine", "seed"} <= report.keys()
    assert indices_of_benches(elasticsearch_url) <= before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="descendants are read from /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_that_was_started_and_removes_its_indices(
    elasticsearch_url: str, ending: signal.Signals
) -> None:
    before = indices_of_benches(elasticsearch_url)
    running = started(elasticsearch_url)
    try:
        descendants = descendants_of(running.pid)
        assert len(descendants) >= 5
        running.send_signal(ending)
        stdout, stderr = running.communicate(timeout=ENDS_WITHIN_S)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 128 + ending
    assert stdout == ""
    assert "ended by a signal" in stderr
    assert not re.search(r"Traceback|Task was destroyed", stderr), stderr
    assert not {pid for pid in descendants if Path(f"/proc/{pid}").exists()}
    assert indices_of_benches(elasticsearch_url) <= before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="descendants are read from /proc")
def test_nothing_outlives_a_benchmark_that_is_killed(elasticsearch_url: str) -> None:
    before = indices_of_benches(elasticsearch_url)
    running = started(elasticsearch_url)
    try:
        descendants = descendants_of(running.pid)
        assert len(descendants) >= 5
    finally:
        running.kill()
        running.communicate()
    deadline_s = time.monotonic() + ENDS_WITHIN_S
    while left := {pid for pid in descendants if Path(f"/proc/{pid}").exists()}:
        assert time.monotonic() < deadline_s, left
        time.sleep(0.1)
    remove_indices(elasticsearch_url, indices_of_benches(elasticsearch_url) - before)


def started(elasticsearch_url: str) -> subprocess.Popen[str]:
    """A run whose scheduler and load processes are all there."""
    running = subprocess.Popen(
        COMMAND, env=environment(elasticsearch_url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    said = ""
    while "warming up" not in said:
        line = running.stderr.readline()
        if not line:
            running.wait()
            pytest.fail(f"it ended before there was anything to end: {said}")
        said += line
    return running


def remove_indices(elasticsearch_url: str, indices: set[str]) -> None:
    """What a killed run could not take away: its indices, and the templates of its prefix."""
    paths = [f"/{index}" for index in indices]
    for prefix in {match[0] for index in indices if (match := re.match("bench-[0-9a-f]+", index))}:
        paths += [f"/_index_template/{prefix}-*", f"/_component_template/{prefix}-*"]
    for path in paths:
        urllib.request.urlopen(urllib.request.Request(f"{elasticsearch_url}{path}", method="DELETE")).close()


def descendants_of(pid: int) -> set[int]:
    """The process ids of children, their children, and so on."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
