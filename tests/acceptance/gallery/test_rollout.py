"""The rollout of the README: everywhere, or nowhere."""

from __future__ import annotations

from typing import Any

from leasehold.core.testing import Failure, Run, StubStep, play

from .stubs import EXAMPLES, Services, hits

PARAMS = {"release": "web-7", "regions": ["eu-1", "us-1", "us-2", "ap-1"]}


class Regions:
    """What is deployed where. A region that is down takes no deployment."""

    def __init__(self, *down: str) -> None:
        self.down = down
        self.live: list[str] = []
        self.told = Services()

    def deploy(self, step: StubStep) -> Any:
        payload = step.payload
        if "rollback" in payload:
            self.live.remove(payload["rollback"])
            return None
        if payload["region"] in self.down:
            return Failure("deploy.refused", f"{payload['region']} is down", retryable=False)
        self.live.append(payload["region"])
        return payload["region"]

    def rollout(self, errors: int = 0) -> Run:
        return play(
            EXAMPLES / "rollout.yaml",
            params=PARAMS,
            executors={"deploy": self.deploy, "es-query": hits(total=errors), "http": self.told},
        )


def test_a_release_goes_everywhere_once_somebody_agrees() -> None:
    regions = Regions()
    run = regions.rollout()
    run.advance(minutes=29)
    assert run.steps["errors"].status == "pending"
    run.advance(minutes=1)
    assert (run.status, regions.live) == ("waiting", ["eu-1"])
    run.approve("others", by="ada")
    run.until_done()
    assert (run.status, sorted(regions.live)) == ("succeeded", sorted(PARAMS["regions"]))


def test_a_release_with_errors_is_rolled_back_before_anybody_is_asked() -> None:
    regions = Regions()
    run = regions.rollout(errors=11)
    run.until_done()
    assert (run.status, regions.live) == ("failed", [])
    assert "11 errors in the first region" in regions.told.asked[0][2]["text"]


def test_a_region_that_is_down_rolls_all_others_back() -> None:
    regions = Regions("us-2")
    run = regions.rollout()
    run.advance(minutes=30)
    run.approve("others")
    run.until_done()
    assert (run.status, regions.live) == ("failed", [])
    assert run.error is not None
    assert (run.error.type, run.instance.undone) == ("deploy.refused", "succeeded")


def test_a_release_that_nobody_agrees_to_is_rolled_back() -> None:
    regions = Regions()
    run = regions.rollout()
    run.until_done()
    assert (run.status, regions.live) == ("failed", [])
    assert run.elapsed_ms == (4 * 60 + 30) * 60_000
