"""Users of a running scheduler, for locust: they start, claim, heartbeat and complete over HTTP.

    locust -f bench/locustfile.py --host http://127.0.0.1:8080 --headless --users 30 --spawn-rate 10 --run-time 1m

Loaded by locust alone, by its path: nothing imports it, and it imports nothing of Leasehold. What it can show, and
what not, is in README.md beside it.
"""

from __future__ import annotations

import json
import os
import urllib.request
from random import Random
from typing import Any

from locust import FastHttpUser, between, constant, events, tag, task
from locust.contrib.fasthttp import FastResponse
from locust.env import Environment

TENANT = os.environ.get("LEASEHOLD_TENANT", "default")
WORKFLOW = os.environ.get("LEASEHOLD_WORKFLOW", "locust-one-step")
CAPABILITY = os.environ.get("LEASEHOLD_CAPABILITY", "locust")
PARAMS: dict[str, Any] = json.loads(os.environ.get("LEASEHOLD_PARAMS", '{"n": 1}'))
BATCH = int(os.environ.get("LEASEHOLD_BATCH", "20"))
# A heartbeat is sent in so many of a hundred steps: those that take long.
HEARTBEAT_PERCENT = int(os.environ.get("LEASEHOLD_HEARTBEAT_PERCENT", "30"))

_OWN_WORKFLOW = "locust-one-step"
_DEFINITION = f"""\
name: {_OWN_WORKFLOW}
version: 1
inputs:
  n: {{type: integer, required: true}}
steps:
  - {{name: work, executor: {CAPABILITY}, input: {{n: "{{{{ inputs.n }}}}"}}}}
"""
_HEADERS = {"X-Leasehold-Tenant": TENANT}
_RESULT = {"result": {"ok": True}}
_CLAIM = f"/_workflows/_steps/_claim?capability={CAPABILITY}&lease=30s&wait=2s"
# Shown instead of the addresses, which hold ids.
_STEP = "/_workflows/_steps/{id}"
_random = Random()


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # locust's own has no types
def store_definition(environment: Environment, **_: Any) -> None:
    """Store the workflow that these users start, unless another one is named. Ends the run when it is refused."""
    if WORKFLOW != _OWN_WORKFLOW:
        return
    headers = {**_HEADERS, "Content-Type": "application/yaml"}
    request = urllib.request.Request(  # noqa: S310 - the host is the user's own
        f"{environment.host}/_workflows/{WORKFLOW}", data=_DEFINITION.encode(), headers=headers, method="PUT"
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
    except OSError as error:
        print(f"the definition could not be stored at {environment.host}: {error}")
        if environment.runner is not None:
            environment.runner.quit()


class _Leasehold(FastHttpUser):
    abstract = True
    connection_timeout = 5.0
    network_timeout = 30.0

    def ask(self, target: str, body: Any = None, *, name: str, expected: tuple[int, ...] = (200,)) -> FastResponse:
        """One POST. An answer that is not expected is a failure, with the problem's own words."""
        with self.client.post(target, json=body or {}, headers=_HEADERS, name=name, catch_response=True) as response:
            if response.status_code in expected:
                response.success()
            else:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
            answer: FastResponse = response
        return answer


class Starter(_Leasehold):
    """Starts instances, most of them one by one, and looks at one now and then."""

    weight = 1
    wait_time = between(0.05, 0.5)

    def on_start(self) -> None:
        self._last = ""

    @tag("start")
    @task(20)
    def start_one(self) -> None:
        answer = self.ask(
            f"/_workflows/{WORKFLOW}/_start",
            {"params": PARAMS},
            name="/_workflows/{name}/_start",
            expected=(201,),
        )
        if answer.status_code == 201:
            self._last = answer.json()["instance_id"]

    @tag("start", "bulk")
    @task(1)
    def start_many(self) -> None:
        starts = [{"workflow": WORKFLOW, "params": PARAMS} for _ in range(BATCH)]
        self.ask("/_workflows/_start", {"starts": starts}, name=f"/_workflows/_start ({BATCH})")

    @tag("read")
    @task(2)
    def look(self) -> None:
        if self._last:
            self.client.get(
                f"/_workflows/_instances/{self._last}", headers=_HEADERS, name="/_workflows/_instances/{id}"
            )


class Executor(_Leasehold):
    """Waits for a step, says that it is alive in some, and completes it."""

    weight = 3
    wait_time = constant(0)

    @tag("claim")
    @task
    def work(self) -> None:
        answer = self.ask(_CLAIM, name="/_workflows/_steps/_claim", expected=(200, 204))
        if answer.status_code != 200:
            return
        step = answer.json()["step_id"]
        if _random.randrange(100) < HEARTBEAT_PERCENT:
            self.ask(f"/_workflows/_steps/{step}/_heartbeat", {"progress": 50}, name=f"{_STEP}/_heartbeat")
        self.ask(f"/_workflows/_steps/{step}/_complete", _RESULT, name=f"{_STEP}/_complete")


class BatchExecutor(_Leasehold):
    """Claims and completes many steps at a time, as the worker of the client library does."""

    weight = 1
    wait_time = constant(0)

    @tag("claim", "bulk")
    @task
    def work(self) -> None:
        answer = self.ask(f"{_CLAIM}&max={BATCH}", name=f"/_workflows/_steps/_claim ({BATCH})", expected=(200, 204))
        steps = answer.json()["steps"] if answer.status_code == 200 else []
        if steps:
            reports = [{"step_id": step["step_id"], "action": "complete", "complete": _RESULT} for step in steps]
            self._complete(reports)

    def _complete(self, reports: list[dict[str, Any]]) -> None:
        name = "/_workflows/_steps/_bulk"
        with self.client.post(
            "/_workflows/_steps/_bulk", json={"reports": reports}, headers=_HEADERS, name=name, catch_response=True
        ) as response:
            results = response.json()["results"] if response.status_code == 200 else []
            refused = [result for result in results if result["code"] != 200]
            if results and not refused:
                response.success()
            else:
                response.failure(f"{response.status_code}: {(refused or [response.text])[0]}"[:200])
