"""A scheduler replica as a process of its own, to be talked to over HTTP and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

_READY_WITHIN_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served:
    """`leasehold serve` on a fixed port, started again after each kill. Its log goes to `log_file`."""

    def __init__(self, elasticsearch_url: str, index_prefix: str, log_file: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log_file = log_file
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")},
            "LEASEHOLD_ES_URL": elasticsearch_url,
            "LEASEHOLD_INDEX_PREFIX": index_prefix,
            "LEASEHOLD_PORT": str(self.port),
            "LEASEHOLD_LOG_FORMAT": "json",
            **settings,
        }
        self._child: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        """What it has said up to now, in all its lives."""
        return self._log_file.read_text() if self._log_file.exists() else ""

    async def start(self) -> None:
        """Start the process, and wait until it owns a lane."""
        with self._log_file.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from leasehold.core.app.script import main; main()",
                "serve",
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_READY_WITHIN_S), aiohttp.ClientSession() as session:
            while not await self._ready(session):
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        assert self._child is not None
        self._child.kill()
        await self._child.wait()

    def suspend(self) -> None:
        """SIGSTOP: it stands still, with all that it believes, until `resume`."""
        assert self._child is not None
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._child is not None
        self._child.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM, also for one that stands still; returns the exit code."""
        assert self._child is not None
        if self._child.returncode is None:
            self._child.terminate()
            self.resume()
        return await self._child.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        assert self._child is not None
        if self._child.returncode is not None:
            raise AssertionError(f"serve ended with {self._child.returncode}: {self._log_file.read_text()[-2_000:]}")
        try:
            async with session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


class Caller:
    """Plain HTTP with JSON, which tries again for as long as nobody answers or the answer is 503 or 429."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the parsed answer (None where it is empty)."""
        while True:
            try:
                async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
                    text = await answer.read()
                    if answer.status not in (429, 503):
                        return answer.status, (await answer.json(content_type=None)) if text else None
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.03)

    async def put_definition(self, name: str, source: str) -> None:
        async with self._session.put(
            f"{self._url}/_workflows/{name}", data=source, headers={"Content-Type": "application/yaml"}
        ) as answer:
            assert answer.status in (200, 201), await answer.text()


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """A caller whose connections end with the context."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Caller(session, url)
