"""Items of a foreach and sub-workflows on a real Elasticsearch, through the death of the replica that ran them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.kit.served import Caller, Served, calling

FAN = """
name: fan
inputs:
  hosts: {type: array, default: []}
steps:
  - name: each-host
    foreach: "{{ inputs.hosts }}"
    max_parallel: 20
    steps:
      - {name: look, executor: work, input: {host: "{{ item }}"}}
      - {name: act, workflow: act-on, input: {host: "{{ steps.look.result.host }}"}}
outputs: {all: "{{ steps.each-host.result }}"}
"""
ACT_ON = """
name: act-on
inputs: {host: {type: string, required: true}}
steps:
  - {name: act, executor: work, input: {host: "{{ inputs.host }}"}}
outputs: {acted: "{{ steps.act.result.host }}"}
"""
FAST = {
    "LEASEHOLD_LANES_LEASE_MS": "1500",
    "LEASEHOLD_LANES_RENEW_EVERY_MS": "300",
    "LEASEHOLD_LANES_OBSERVE_EVERY_MS": "100",
}
HOSTS = [f"host-{n}" for n in range(40)]


async def work(caller: Caller, wanted: int) -> list[str]:
    """Claim and complete until `wanted` steps are done; the hosts that they were for."""
    done: list[str] = []
    async with asyncio.timeout(60):
        while len(done) < wanted:
            status, answer = await caller.send(
                "POST", "/_workflows/_steps/_claim?capability=work&wait=2s&max=9&lease=2s"
            )
            for step in answer["steps"] if status == 200 else ():
                address = f"/_workflows/_steps/{step['step_id']}/_complete"
                status, told = await caller.send("POST", address, {"result": step["payload"]})
                assert status == 200, told
                done.append(step["payload"]["host"])
    return done


async def view_of(caller: Caller, instance_id: str) -> dict[str, Any]:
    status, view = await caller.send("GET", f"/_workflows/_instances/{instance_id}")
    assert status == 200, view
    return dict(view)


async def test_a_foreach_over_sub_workflows_goes_on_after_its_replica_was_killed(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    served = Served(elasticsearch_url, index_prefix, tmp_path / "served.log", **FAST)
    async with served, calling(served.url) as caller:
        await caller.put_definition("act-on", ACT_ON)
        await caller.put_definition("fan", FAN)
        status, answer = await caller.send("POST", "/_workflows/fan/_start", {"params": {"hosts": HOSTS}})
        assert status == 201, answer
        instance_id = answer["instance_id"]

        done = await work(caller, 30)
        view = await view_of(caller, instance_id)
        shown = [step["run_path"] for step in view["steps"]]
        assert view["steps"][0]["children"]
        assert "each-host[0].look" in shown
        await served.kill()
        await served.start()

        done += await work(caller, 2 * len(HOSTS) - len(done))
        assert sorted(done) == sorted(HOSTS * 2)
        async with asyncio.timeout(20):
            while (view := await view_of(caller, instance_id))["status"] != "succeeded":
                await asyncio.sleep(0.1)
        assert view["outputs"] == {"all": [{"acted": host} for host in HOSTS]}
