"""The running server keeps what its OpenAPI document says: schemathesis asks it whatever the document allows, and more.

Every check of schemathesis is on: no 5xx, documented statuses, media types, headers and bodies, refusal of what the
document forbids, acceptance of what it allows. Allowed and yet refused may be what a schema can't say: 422 (a
definition's own rules, a bound of this server), 404, 409, 403 and 429.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from leasehold.core.settings import LimitSettings

from tests.kit.answering import answering_replica

pytestmark = pytest.mark.elasticsearch

SEED = 3
MAX_EXAMPLES = 5
MAX_TIME_S = 25

CONFIGURATION = """\
seed = {seed}
request-timeout = 10.0

[generation]
max-examples = {max_examples}

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "403", "404", "409", "422", "429"]

[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx"]
"""

DEFINITION = """\
name: hello
version: 1
steps:
  - {name: ask, executor: es-query, requires_approval: true}
  - {name: only, executor: es-query, depends_on: []}
"""


async def test_the_server_does_what_its_openapi_document_says(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(seed=SEED, max_examples=MAX_EXAMPLES), encoding="utf-8")
    async with answering_replica(elasticsearch_url, index_prefix, LimitSettings(wait_max_ms=200)) as served:
        await _store_definition(served.url)
        code, output = await _schemathesis(
            "--config-file", str(configuration), "run", f"{served.url}/openapi.json",
            "--max-time", str(MAX_TIME_S), "--no-color",
        )  # fmt: skip
        assert code == 0, output
        assert served.unexpected_errors == 0


async def _store_definition(url: str) -> None:
    """The workflow that the document's examples name, so that starts, claims and what follows from them succeed too."""
    async with (
        aiohttp.ClientSession() as session,
        session.put(
            f"{url}/_workflows/hello", data=DEFINITION.encode(), headers={"Content-Type": "application/yaml"}
        ) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def _schemathesis(*arguments: str) -> tuple[int, str]:
    """Exit code and what it printed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode is not None
    return child.returncode, output.decode(errors="replace")
