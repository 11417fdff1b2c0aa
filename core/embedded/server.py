"""One Elasticsearch server, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .account import Account, server_account
from .archive import PINNED, ServerArchive
from .diagnosis import keep, sentence_of
from .errors import EmbeddedError, one_sentence
from .install import Installation, install
from .layout import Layout, NodeSettings, Setting, environment, lay_out
from .places import TEMPORARY_SETTING, private_folder, require_space
from .ports import HOST, require_free
from .progress import Progress

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_RUN_BYTES = 256 << 20
_GRACE_S = 10.0
_LOOK_INTERVAL_S = 0.1
_REQUEST_LIMIT_S = 5.0


class EmbeddedElasticsearch:
    """A server on loopback without security; a context manager, plain or `async`. The port 0 stands for any free one.

    `durable_folder` holds the shards if they shall outlive the server; else they go with the private folder. Nodes of
    one cluster are given the same `cluster_name`, their own `transport_port`s, all of these as `seed_hosts`, and as
    `initial_masters` all node names; they are started at the same time, since each waits for the cluster. `settings`
    are further lines of `elasticsearch.yml`. `progress=None` shows bars if standard error is a terminal.
    """

    def __init__(
        self,
        *,
        http_port: int = 0,
        transport_port: int = 0,
        heap_mb: int = 512,
        cluster_name: str = "leasehold",
        node_name: str = "es-1",
        seed_hosts: Sequence[str] = (),
        initial_masters: Sequence[str] = (),
        settings: Mapping[str, Setting] | None = None,
        durable_folder: Path | None = None,
        start_limit_s: float = 180.0,
        progress: bool | None = None,
        archive: ServerArchive = PINNED,
    ) -> None:
        self._settings = NodeSettings(
            cluster_name=cluster_name,
            node_name=node_name,
            http_port=http_port,
            transport_port=transport_port,
            seed_hosts=seed_hosts,
            initial_masters=initial_masters,
            more=settings or {},
        )
        self._heap_mb = heap_mb
        self._durable_folder = durable_folder.absolute() if durable_folder else None
        self._start_limit_s = start_limit_s
        self._archive = archive
        self._progress = Progress(progress)
        self._layout: Layout | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._port: int | None = None

    @property
    def version(self) -> str:
        """The server's version."""
        return self._archive.version

    @property
    def url(self) -> str:
        """Where it answers HTTP. Raises RuntimeError unless started."""
        if self._port is None:
            raise RuntimeError("Elasticsearch is not started")
        return f"http://{HOST}:{self._port}"

    @property
    def log_file(self) -> Path:
        """The server's log, one line an event; removed by `stop`. Raises RuntimeError unless started."""
        return self._running_layout().logs / f"{self._settings.cluster_name}.log"

    @property
    def pid(self) -> int:
        """Leader of the server's own process group (and its id). Raises RuntimeError unless started."""
        if self._pid is None:
            raise RuntimeError("Elasticsearch is not started")
        return self._pid

    def is_running(self) -> bool:
        """Whether it was started and has not ended by itself."""
        if self._supervisor is None or self._supervisor.stdout is None:
            return False
        # The supervisor speaks once more, or is gone itself, when the server has ended.
        readable, _, _ = select.select([self._supervisor.stdout], [], [], 0)
        return not readable

    def start(self) -> Self:
        """Fetch and lay out what is missing, start, and return once `_cluster/health` answers. Blocks for about 10 s.

        Raises EmbeddedError with nothing left running.
        """
        if self._supervisor is not None:
            raise RuntimeError("Elasticsearch is started already")
        try:
            require_free(self._settings.http_port, "HTTP port")
            require_free(self._settings.transport_port, "transport port")
            installation = install(self._archive, server_account(), self._progress)
            self._launch(installation)
            with self._progress.steps(f"starting Elasticsearch {self.version}"):
                self._port = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server's process group and remove its private folder. Harmless if it is not started."""
        supervisor, self._supervisor = self._supervisor, None
        layout, self._layout = self._layout, None
        pid, self._pid = self._pid, None
        self._port = None
        if supervisor is not None:
            _end(supervisor, pid)
        if layout is not None:
            shutil.rmtree(layout.folder, ignore_errors=True)
        self._progress.renew()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread can't be cancelled: it ends itself at its next step, and stops what it has started.
            self._progress.abandon()
            await asyncio.wait([starting])
            if not starting.cancelled() and starting.exception() is None:
                await asyncio.to_thread(self.stop)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _running_layout(self) -> Layout:
        if self._layout is None:
            raise RuntimeError("Elasticsearch is not started")
        return self._layout

    def _launch(self, installation: Installation) -> None:
        account = server_account()
        self._require_durable_folder(account)
        folder = private_folder(account)
        layout = self._layout = Layout(folder, self._durable_folder or folder / "shards")
        with one_sentence("preparing Elasticsearch", folder, TEMPORARY_SETTING):
            require_space(folder, _RUN_BYTES, "a run of Elasticsearch", TEMPORARY_SETTING)
            lay_out(layout, installation.home, self._settings, account)
            order = {
                "command": [str(installation.home / "bin" / "elasticsearch")],
                "environment": environment(layout, installation.java_home, self._heap_mb),
                "account": None if account is None else [account.uid, account.gid],
                "folder": str(folder),
                "console": str(layout.console),
                "remove": str(folder),
                "grace_s": _GRACE_S,
            }
            self._supervisor = _supervise(order, layout.console)
        answer = _answer(self._supervisor)
        if "pid" not in answer:
            raise EmbeddedError(
                f"Elasticsearch did not start: {answer.get('error', 'its supervisor ended')}; "
                f"the server needs bash, and as root the right to become uid {account.uid if account else os.geteuid()}"
            )
        self._pid = answer["pid"]

    def _require_durable_folder(self, account: Account | None) -> None:
        above = None if self._durable_folder is None else self._durable_folder.parent
        if above is not None and account is not None and above.is_dir() and not account.may_enter(above):
            raise EmbeddedError(
                f"as root the server runs as uid {account.uid}, which can't enter {above}; keep shards elsewhere"
            )

    def _wait_until_ready(self) -> int:
        """The port, once the cluster is formed and answers."""
        deadline = time.monotonic() + self._start_limit_s
        layout = self._running_layout()
        while not (port := _published_port(layout.logs)) or not _healthy(port):
            if not self.is_running():
                raise EmbeddedError(f"{sentence_of(layout.console)} ({keep(layout.console)})")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Elasticsearch did not answer within {self._start_limit_s:g} s; look for what else keeps this "
                    f"machine busy, or allow more ({keep(layout.console)})"
                )
            self._progress.pause(_LOOK_INTERVAL_S)
        return port


def _supervise(order: Mapping[str, Any], console: Path) -> subprocess.Popen[bytes]:
    """Start a supervisor in a session of its own, where no Ctrl-C of a terminal reaches it."""
    with console.open("ab") as errors:
        supervisor = subprocess.Popen(  # noqa: S603 (our own script under our own interpreter)
            [sys.executable, "-I", "-S", str(_SUPERVISOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
    assert supervisor.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        supervisor.stdin.write(json.dumps(order).encode() + b"\n")
    return supervisor


def _answer(supervisor: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The supervisor's next line; empty if it has ended."""
    assert supervisor.stdout is not None
    line = supervisor.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    return answer


def _end(supervisor: subprocess.Popen[bytes], pid: int | None) -> None:
    """Let the supervisor end the server; do it here if the supervisor cannot."""
    with supervisor:
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        try:
            supervisor.wait(3 * _GRACE_S)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
    if supervisor.returncode != 0 and pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _published_port(logs: Path) -> int | None:
    """The port that the server has chosen and written down, once it listens."""
    try:
        addresses = (logs / "http.ports").read_text().splitlines()
    except FileNotFoundError:
        return None
    for address in addresses:
        host, _, port = address.rpartition(":")
        if host == HOST and port.isdecimal():
            return int(port)
    return None


def _healthy(port: int) -> bool:
    """Whether the cluster has a master and every primary shard is assigned."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_REQUEST_LIMIT_S)
    try:
        connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s&master_timeout=1s")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
