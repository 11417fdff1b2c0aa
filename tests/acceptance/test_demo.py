"""`make demo` as a user runs it: what it shows, what it answers, and that nothing of it is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.kit.markdown import ROOT

pytestmark = pytest.mark.slow

DEMO = [sys.executable, "-m", "leasehold.core.app.demo"]

_ADDRESS = re.compile(r"answers at http://127\.0\.0\.1:(\d+)")
_WITHIN_S = 300.0


def listeners(shown: str) -> list[str]:
    """The ports that the demonstration named and that still answer."""
    found = []
    for port in _ADDRESS.findall(shown):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                found.append(port)
    return found


@contextmanager
def started() -> Iterator[subprocess.Popen[str]]:
    """The demonstration under way; ended with the context, if it is not over."""
    child = subprocess.Popen(DEMO, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with child:
        try:
            yield child
        finally:
            child.terminate()


def read_until_both_answer(child: subprocess.Popen[str]) -> str:
    """What the demonstration shows until Elasticsearch and the replica are up."""
    shown = ""
    assert child.stdout is not None
    for line in child.stdout:
        shown += line
        if len(_ADDRESS.findall(shown)) == 2:
            return shown
    raise AssertionError(f"it ended too early: {shown}")


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_demo_shows_a_report_and_the_attempts_and_leaves_nothing() -> None:
    ended = subprocess.run(DEMO, cwd=ROOT, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    shown = ended.stdout
    assert ended.returncode == 0, ended.stderr
    assert "# Log triage" in shown
    assert "## By minute" in shown
    counted = re.fullmatch(r"demo: ok, (\d+) attempts in workflow-steps", shown.splitlines()[-1])
    assert counted
    assert int(counted[1]) == len(re.findall(r"^  [a-z-]+ +\d+ +[a-z-]+ +succeeded ", shown, re.MULTILINE))
    assert int(counted[1]) >= 6
    assert ("for an approval" in shown) == ("succeeded  open-case" in shown)
    assert len(_ADDRESS.findall(shown)) == 2
    assert listeners(shown) == []


def test_a_demo_that_is_ended_leaves_nothing_and_says_so() -> None:
    with started() as child:
        shown = read_until_both_answer(child)
        child.send_signal(signal.SIGINT)
        _, complaints = child.communicate(timeout=_WITHIN_S)
    assert (child.returncode, complaints) == (130, "demo: ended before its end; nothing is left running\n")
    assert listeners(shown) == []


def test_a_kept_demo_returns_answers_its_curl_lines_and_ends_by_one_signal() -> None:
    ended = subprocess.run([*DEMO, "--keep"], cwd=ROOT, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    shown = ended.stdout
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"demo: ok, \d+ attempts in workflow-steps", shown.splitlines()[-1])
    told = re.search(r"to end all of it: kill (\d+)", shown)
    assert told
    try:
        addresses = re.findall(r"^  curl -s '?(http\S+?)'?$", shown, re.MULTILINE)
        assert [urllib.request.urlopen(address).status for address in addresses] == [200, 200, 200]
    finally:
        os.kill(int(told[1]), signal.SIGTERM)
    until_s = time.monotonic() + 60
    while lives(int(told[1])) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert listeners(shown) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the replica's process in /proc")
def test_a_demo_whose_replica_dies_says_one_sentence_fails_and_leaves_nothing() -> None:
    with started() as child:
        shown = read_until_both_answer(child)
        (replica,) = (pid for pid in children(child.pid) if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(replica, signal.SIGKILL)
        _, complaints = child.communicate(timeout=_WITHIN_S)
    assert child.returncode == 1
    assert re.fullmatch(r"demo: the replica was ended by signal 9; it said last: .+\n", complaints)
    assert listeners(shown) == []
