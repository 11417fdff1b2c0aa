"""Tenants with their limits, and the workflow of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from ..ground import Elasticsearch, Ground, serving

WORKFLOW = "steps"
CAPABILITIES = ("work", "fragile")
# Each of a tenant's instances has a step of each of these; the tenant with many slots does not wait for the others.
STEPS = {"ten": ("work",)}

STEP_LIMITS = {"one": 1, "three": 3, "ten": 10}
LOWERED = ("ten", 4)
RUNNING_INSTANCES = ("queues", 3)
CLAIM_RATE: tuple[str, float, int] = ("paced", 8.0, 4)
START_RATE: tuple[str, float, int] = ("begins", 5.0, 5)
FRAGILE_LIMIT = 5

Document = Mapping[str, Any]
DOCUMENTS: dict[str, Document] = {
    **{tenant: {"max_running_steps": limit} for tenant, limit in STEP_LIMITS.items()},
    RUNNING_INSTANCES[0]: {"max_running_instances": RUNNING_INSTANCES[1]},
    CLAIM_RATE[0]: {"claim_rate": {"per_s": CLAIM_RATE[1], "burst": CLAIM_RATE[2]}},
    START_RATE[0]: {"start_rate": {"per_s": START_RATE[1], "burst": START_RATE[2]}},
    "*": {"capabilities": {"fragile": {"max_running_steps": FRAGILE_LIMIT}}},
}
TENANTS = tuple(name for name in DOCUMENTS if name != "*")
STEP_QUOTAS = (*((tenant, "") for tenant in STEP_LIMITS), ("*", "fragile"))
QUOTA_IDS = (
    *(f"quota:running_steps:{tenant}:{scope}" for tenant, scope in STEP_QUOTAS),
    f"quota:running_instances:{RUNNING_INSTANCES[0]}:",
    f"quota:claim_rate:{CLAIM_RATE[0]}:",
    f"quota:start_rate:{START_RATE[0]}:",
)


def steps_of(tenant: str) -> tuple[str, ...]:
    """The run paths of each of the tenant's instances, in order; each is named like its capability."""
    return STEPS.get(tenant, CAPABILITIES)


def definition(tenant: str) -> str:
    steps = "".join(f"  - {{name: {name}, executor: {name}}}\n" for name in steps_of(tenant))
    return f"""
name: {WORKFLOW}
version: 1
defaults: {{retry: {{max: 100, initial: 50ms, max_delay: 200ms}}}}
steps:
{steps}"""


async def put_rules(store: Elasticsearch, tenant: str, document: Document) -> None:
    """Put a tenant's document in place of what stands there."""
    await store.send("PUT", f"tenants/_doc/{tenant}", document)


async def _put_all_rules(store: Elasticsearch) -> None:
    for tenant, document in DOCUMENTS.items():
        await put_rules(store, tenant, document)


@asynccontextmanager
async def ground(url: str, prefix: str, folder: Path, random: Random) -> AsyncIterator[Ground]:
    """Replicas that serve, tenants with their rules, each with its workflow."""
    async with serving(url, prefix, folder, random, prepare=_put_all_rules) as found:
        for tenant in TENANTS:
            async with found.client(tenant=tenant) as client:
                await client.put_definition(WORKFLOW, definition(tenant))
        yield found
