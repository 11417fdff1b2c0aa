"""One scheduler replica as a process of its own, started by the very command that users run."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from ..errors import BenchError
from ..load import Address, Answer, Connection, ConnectionLost
from ..load.principal import headers_of
from ..processes import ended
from .cluster import Cluster

_READY_WITHIN_S = 60.0
_LOOK_AGAIN_S = 0.05
_END_WITHIN_S = 15.0
_LAST_WORDS = 2_000
_LEASHED = ("-P", "-m", "leasehold.bench.ground.leashed")


class Counts(Struct, frozen=True):
    """What the replica's `/metrics` say, summed over labels. `request_s` and `requests` are by route."""

    cpu_s: float
    resident_bytes: float
    bulks: float
    bulk_documents: float
    conflicts: float
    history_records: float
    history_lag: float
    claims_waiting: float
    unexpected: float
    requests: dict[str, float]
    request_s: dict[str, float]


class Scheduler:
    """A running replica. `pid` is its process, `log` the file with what it says."""

    def __init__(self, address: Address, pid: int, log: Path) -> None:
        self.address = address
        self.pid = pid
        self.log = log

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        tenant: str | None = None,
    ) -> Answer:
        """One request on a connection of its own, of a tenant or of the default one. Raises: ConnectionLost."""
        request = self.address.request(method, target, body, content_type=content_type, headers=headers_of(tenant))
        return await asyncio.to_thread(self._exchange, request)

    async def put_definition(self, name: str, source: str, *, tenant: str | None = None) -> None:
        """Raises: BenchError when the replica does not take it."""
        target, body = f"/_workflows/{name}", source.encode()
        answer = await self.ask("PUT", target, body, content_type="application/yaml", tenant=tenant)
        if answer.status not in (200, 201):
            raise BenchError(f"the scheduler answered {answer.status} to a definition: {answer.body.decode()}")

    async def put_tenant(self, name: str, document: Mapping[str, Any]) -> None:
        """Raises: BenchError when the replica does not take it."""
        answer = await self.ask("PUT", f"/_workflows/_tenants/{name}", msgspec.json.encode(document))
        if answer.status not in (200, 201):
            raise BenchError(f"the scheduler answered {answer.status} to a tenant: {answer.body.decode()}")

    async def counts(self) -> Counts:
        """What the replica has counted up to now."""
        text = (await self.ask("GET", "/metrics")).body.decode()
        totals: dict[str, float] = {}
        routes: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
                if "route" in sample.labels:
                    by_route = routes.setdefault(sample.name, {})
                    route = sample.labels["route"]
                    by_route[route] = by_route.get(route, 0.0) + sample.value
        return Counts(
            cpu_s=totals.get("process_cpu_seconds_total", 0.0),
            resident_bytes=totals.get("process_resident_memory_bytes", 0.0),
            bulks=totals.get("leasehold_commit_bulks_total", 0.0),
            bulk_documents=totals.get("leasehold_commit_documents_total", 0.0),
            conflicts=totals.get("leasehold_commit_conflicts_total", 0.0),
            history_records=totals.get("leasehold_history_records_total", 0.0),
            history_lag=totals.get("leasehold_history_lag_records", 0.0),
            claims_waiting=totals.get("leasehold_http_claims_waiting", 0.0),
            unexpected=totals.get("leasehold_unexpected_errors_total", 0.0),
            requests=routes.get("leasehold_http_request_duration_seconds_count", {}),
            request_s=routes.get("leasehold_http_request_duration_seconds_sum", {}),
        )

    def _exchange(self, request: bytes) -> Answer:
        connection = Connection(self.address, answer_within_s=10.0)
        try:
            return connection.exchange(request)
        finally:
            connection.close()


@asynccontextmanager
async def running_scheduler(
    cluster: Cluster, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Scheduler]:
    """A replica that is ready, on a free port, with this run's index prefix. Raises: BenchError.

    `environment` holds settings of its own, as `LEASEHOLD_...` variables.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="leasehold-bench-") as folder:
        log = Path(folder) / "scheduler.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *_LEASHED, "serve", "--log-format", "json", "--port", str(port)),
                *("--index-prefix", cluster.prefix, "--elasticsearch", ",".join(cluster.settings.urls)),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        try:
            found = Scheduler(Address(f"http://127.0.0.1:{port}"), process.pid, log)
            await _until_ready(found, process)
            yield found
        finally:
            if process.returncode is None:
                process.terminate()
            await ended(process, within_s=_END_WITHIN_S)


async def _until_ready(found: Scheduler, process: asyncio.subprocess.Process) -> None:
    deadline_s = monotonic() + _READY_WITHIN_S
    while monotonic() < deadline_s:
        if process.returncode is not None:
            raise BenchError(f"the scheduler ended with {process.returncode}; its last words: {_last_words(found.log)}")
        try:
            if (await found.ask("GET", "/readyz")).status == 200:
                return
        except ConnectionLost:
            pass
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise BenchError(f"the scheduler was not ready after {_READY_WITHIN_S:.0f} s: {_last_words(found.log)}")


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-_LAST_WORDS:].strip() or "none"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
