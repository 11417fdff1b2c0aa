"""The backend that leaves the work to ILM, on a stub behind the real transport.

It has never met a real server that has ILM: what stands in for one holds each request against Elastic's published
interface, and the answers are those that Elastic documents.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from leasehold.core.es import connect
from leasehold.core.settings import StoreSettings
from leasehold.ilm import FAMILIES, Capabilities, IndexNames, Policy, default_policy, parse
from leasehold.ilm.errors import LifecycleRefused
from leasehold.ilm.lifecycle import Ager, Managed, lifecycle_for

from tests.kit.ilm_stub import IlmStub, ilm_stub
from tests.kit.published_api import check_answer, check_request

NAMES = IndexNames("workflow")
DEFAULTS = {family: default_policy(family) for family in FAMILIES}
DAY_MS = 86_400_000
STEPS = {"steps": DEFAULTS["steps"]}


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[IlmStub, Managed]]:
    """A stub with one rolled index and one that is written to, of steps, and the backend that the cluster gets."""
    async with ilm_stub() as stub, connect(StoreSettings(urls=(stub.url,))) as store:
        stub.add("workflow-steps-000001", "workflow-steps", rolled_at_ms=5_000)
        stub.add("workflow-steps-000002", "workflow-steps", writes=True)
        backend = lifecycle_for(store.request, NAMES, store.capabilities)
        assert isinstance(backend, Managed)
        yield stub, backend


async def test_a_cluster_without_ilm_gets_the_ager() -> None:
    async with ilm_stub() as stub, connect(StoreSettings(urls=(stub.url,))) as store:
        assert isinstance(lifecycle_for(store.request, NAMES, Capabilities()), Ager)


async def test_every_policy_is_put_once_and_every_index_is_given_its_own() -> None:
    async with cluster() as (stub, backend):
        told = await backend.apply(DEFAULTS)

        assert sorted(stub.policies) == [f"workflow-{family}" for family in sorted(FAMILIES)]
        for index in stub.indices.values():
            assert index["settings"]["index.lifecycle.name"] == "workflow-steps"
            assert index["settings"]["index.lifecycle.rollover_alias"] == "workflow-steps"
        assert len(told) == len(FAMILIES) + 2
        stub.changing.clear()
        assert (await backend.apply(DEFAULTS), stub.changing) == ([], [])


async def test_what_stands_is_our_policy_in_elastics_shape() -> None:
    async with cluster() as (stub, backend):
        await backend.apply(STEPS)
        stored = stub.policies["workflow-steps"]["policy"]

        assert parse("steps", {"phases": stored["phases"]}).phases.keys() == DEFAULTS["steps"].phases.keys()
        assert stored["_meta"] == {"leasehold": {"family": "steps"}}


async def test_a_policy_that_somebody_has_changed_is_put_again_and_keeps_what_was_noted_at_it() -> None:
    async with cluster() as (stub, backend):
        await backend.apply(STEPS)
        stored = stub.policies["workflow-steps"]["policy"]
        stored["phases"]["delete"]["min_age"] = "2d"
        stored["_meta"]["ticket"] = "OPS-1"
        [done] = await backend.pass_once(STEPS, 0)

        assert (done.action, done.error) == ("policy", None)
        again = stub.policies["workflow-steps"]
        assert again["version"] == 2
        assert again["policy"]["phases"]["delete"]["min_age"] == "30d"
        assert again["policy"]["_meta"] == {"ticket": "OPS-1", "leasehold": {"family": "steps"}}
        assert await backend.pass_once(STEPS, 0) == []


async def test_a_policy_with_every_action_passes_elastics_shapes() -> None:
    """Whatever a valid policy may say fits into what is published."""
    whole = parse(
        "steps",
        {
            "phases": {
                "hot": {
                    "actions": {
                        "set_priority": {"priority": None},
                        "unfollow": {},
                        "rollover": {"max_age": "7d", "max_primary_shard_size": "50gb", "min_docs": 1},
                        "readonly": {},
                        "forcemerge": {"max_num_segments": 2, "index_codec": "best_compression"},
                    }
                },
                "warm": {
                    "min_age": "1d",
                    "actions": {
                        "allocate": {"number_of_replicas": 0, "total_shards_per_node": 2, "require": {"box": "big"}},
                        "migrate": {"enabled": False},
                        "shrink": {"max_primary_shard_size": "10gb"},
                        "downsample": {"fixed_interval": "1h"},
                    },
                },
                "cold": {"min_age": "2d", "actions": {"searchable_snapshot": {"snapshot_repository": "found"}}},
                "delete": {"min_age": "9d", "actions": {"wait_for_snapshot": {"policy": "nightly"}, "delete": {}}},
            }
        },
    )
    async with cluster() as (stub, backend):
        await backend.apply({"steps": whole})
        stub.changing.clear()
        assert await backend.apply({"steps": whole}) == []


async def test_an_index_that_somebody_gave_another_policy_keeps_it_and_is_told_of() -> None:
    async with cluster() as (stub, backend):
        stub.indices["workflow-steps-000001"]["settings"]["index.lifecycle.name"] = "kept-for-the-court"
        await backend.pass_once(STEPS, 0)

        assert stub.indices["workflow-steps-000001"]["settings"]["index.lifecycle.name"] == "kept-for-the-court"
        [finding] = await backend.findings(STEPS)
        assert finding.startswith("workflow-steps-000001 has the policy kept-for-the-court")


async def test_a_number_of_copies_holds_because_the_setting_that_overrules_it_is_taken_away() -> None:
    policy = parse(
        "steps",
        {
            "phases": {
                "hot": {"actions": {"rollover": {"max_docs": 9}}},
                "warm": {"min_age": "1d", "actions": {"allocate": {"number_of_replicas": 0}, "readonly": {}}},
            }
        },
    )
    async with cluster() as (stub, backend):
        await backend.apply({"steps": policy})
        old = stub.indices["workflow-steps-000001"]["settings"]
        stub.explain["workflow-steps-000001"] = {"phase": "warm", "action": "readonly", "step": "readonly"}
        assert await backend.pass_once({"steps": policy}, 0) == []
        stub.explain["workflow-steps-000001"] = {"phase": "warm", "action": "complete", "step": "complete"}
        [done] = await backend.pass_once({"steps": policy}, 0)

        assert (done.index, done.action) == ("workflow-steps-000001", "allocate")
        assert (old["index.auto_expand_replicas"], old["index.number_of_replicas"]) == ("false", "0")
        assert stub.indices["workflow-steps-000002"]["settings"]["index.auto_expand_replicas"] == "0-1"
        assert await backend.pass_once({"steps": policy}, 0) == []


async def test_status_says_how_far_ilm_is_with_each_index() -> None:
    async with cluster() as (stub, backend):
        await backend.apply(STEPS)
        stub.explain["workflow-steps-000001"] = {
            "phase": "warm",
            "action": "forcemerge",
            "step": "segment-count",
            "lifecycle_date_millis": 5_000,
        }
        stub.explain["workflow-steps-000002"] = {"phase": "hot", "action": "rollover", "step": "check-rollover-ready"}
        old, new = await backend.status(STEPS, 0)

        assert (old.phase, old.is_write_index, old.rolled_at_ms) == ("warm", False, 5_000)
        assert (old.docs, old.bytes, old.error) == (7, 700, None)
        assert old.under_way == "warm.forcemerge (segment-count)"
        assert old.done[:2] == ("hot.set_priority", "hot.rollover")
        assert "warm.forcemerge" not in old.done
        assert old.next_phase == "cold"
        assert old.next_at_ms is not None
        assert (new.phase, new.is_write_index, new.under_way, new.next_at_ms) == ("hot", True, None, None)


@pytest.mark.parametrize(
    ("told", "sentences"),
    [
        (
            {
                "phase": "warm",
                "action": "shrink",
                "step": "ERROR",
                "failed_step": "shrink",
                "is_auto_retryable_error": False,
                "step_info": {"type": "illegal_argument_exception", "reason": "the number of shards must be less"},
            },
            [
                "warm.shrink, step shrink: illegal_argument_exception: the number of shards must be less",
                "POST /workflow-steps-000001/_ilm/retry",
            ],
        ),
        (
            {
                "phase": "hot",
                "action": "rollover",
                "step": "ERROR",
                "failed_step": "check-rollover-ready",
                "is_auto_retryable_error": True,
                "step_info": {"type": "illegal_argument_exception", "reason": "it is not the write index"},
            },
            ["hot.rollover, step check-rollover-ready", "ILM tries again by itself"],
        ),
        (
            {"step_info": {"type": "illegal_argument_exception", "reason": "policy [workflow-steps] does not exist"}},
            ["ILM has not taken it up", "policy [workflow-steps] does not exist"],
        ),
        ({"phase": "hot", "action": "complete", "step": "complete", "skip": True}, ["index.lifecycle.skip is true"]),
    ],
)
async def test_status_says_what_went_wrong_and_the_way_out(told: dict[str, Any], sentences: list[str]) -> None:
    async with cluster() as (stub, backend):
        await backend.apply(STEPS)
        stub.explain["workflow-steps-000001"] = told
        old, _ = await backend.status(STEPS, 0)
        assert old.error is not None
        assert all(sentence in old.error for sentence in sentences)


async def test_an_index_that_ilm_does_not_manage_is_told_of() -> None:
    async with cluster() as (_, backend):
        old, _ = await backend.status(STEPS, 0)
        assert old.error == "ILM does not manage it; the next pass gives it its policy"


async def test_what_ilm_has_mounted_in_place_of_an_index_is_in_the_status() -> None:
    async with cluster() as (stub, backend):
        stub.add("restored-workflow-steps-000000", "workflow-steps", rolled_at_ms=1_000)
        stub.add("restored-test-workflow-steps-000000", "test-workflow-steps", rolled_at_ms=1_000)
        assert [one.index for one in await backend.status(STEPS, 0)] == [
            "restored-workflow-steps-000000",
            "workflow-steps-000001",
            "workflow-steps-000002",
        ]


@pytest.mark.parametrize("mode", ["STOPPED", "STOPPING"])
async def test_ilm_that_is_stopped_is_a_finding(mode: str) -> None:
    async with cluster() as (stub, backend):
        assert await backend.findings(STEPS) == []
        stub.mode = mode
        [finding] = await backend.findings(STEPS)
        assert finding == f"ILM is {mode}, so no index of the cluster ages; POST /_ilm/start has it go on"


async def test_a_user_who_may_not_put_policies_is_told_what_is_missing() -> None:
    async with cluster() as (stub, backend):
        stub.refuse("PUT /_ilm/policy", 403, "security_exception", "action [cluster:admin/ilm/put] is unauthorized")
        with pytest.raises(LifecycleRefused, match="manage_ilm"):
            await backend.apply(STEPS)


async def test_settings_that_are_refused_for_one_index_do_not_stop_the_others() -> None:
    async with cluster() as (stub, backend):
        stub.refuse("PUT /workflow-steps-000001/", 403, "cluster_block_exception", "index read-only (api)")
        done = await backend.pass_once(STEPS, 0)

        assert [(one.index, one.error is None) for one in done if one.index] == [
            ("workflow-steps-000001", False),
            ("workflow-steps-000002", True),
        ]


def test_the_check_against_what_is_published_can_fail() -> None:
    good = {"policy": Policy("steps", {"hot": {"actions": {"rollover": {"max_age": "7d"}}}}).document()}
    assert check_request("PUT", "/_ilm/policy/x?timeout=1s", good) == "PUT /_ilm/policy/{policy}"
    for method, path, body in [
        ("POST", "/_ilm/policy/x", good),
        ("PUT", "/_ilm/policies/x", good),
        ("PUT", "/_ilm/policy/x?wait=true", good),
        ("PUT", "/_ilm/policy/x", {"phases": {}}),
        ("PUT", "/_ilm/policy/x", {"policy": {"phases": {"lukewarm": {}}}}),
        ("PUT", "/_ilm/policy/x", {"policy": {"phases": {"hot": {"actions": {"rollover": {"max_age": 7}}}}}}),
        ("PUT", "/i/_settings", {"index.lifecycle.policy": "x"}),
        ("PUT", "/i/_settings", {"index.lifecycle.name": 3}),
        ("GET", "/_ilm/status", {}),
    ]:
        with pytest.raises(AssertionError):
            check_request(method, path, body)
    with pytest.raises(AssertionError):
        check_answer("GET /_ilm/status", {"operation_mode": "ASLEEP"})
