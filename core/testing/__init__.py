"""Test kit for workflows: runs a definition with stub executors, in virtual time, without Elasticsearch.

    def test_a_quiet_host_is_left_alone() -> None:
        run = play("triage.yaml", params={"host": "web-1"}, executors={"es-query": {"hits": 0}})
        run.until_done()
        assert run.status == "succeeded"
        assert run.steps["report"].status == "skipped"

The machine is the one that the scheduler runs (`core.machine`): nothing about retries, timeouts, approvals, loops or
compensation is imitated. What is stood in for is the shell: who claims a step (a stub, at once), when a timer fires
(`agenda`: time jumps to the next thing that is due), where children live (beside their parent). Chance comes from a
seed. So a test of a workflow that waits for seven days takes a millisecond, and gives the same run each time.

`run` is what a test works with; `world` holds the instances and follows their effects; `stubs` and `attempts` ask the
test's functions and turn what they say into events; `lives` remembers what has happened.
"""

from ...claim.errors import StepFailed
from ...claim.wire import Call, Usage
from .errors import Endless, NoStub, NotApplied, PlayError, Stuck, Unknown
from .lives import Attempt
from .outcomes import NO_ANSWER, NOBODY, RELEASED, Delivery, Failure, Takes
from .run import Run, play
from .stubs import StubStep

__all__ = [
    "NOBODY",
    "NO_ANSWER",
    "RELEASED",
    "Attempt",
    "Call",
    "Delivery",
    "Endless",
    "Failure",
    "NoStub",
    "NotApplied",
    "PlayError",
    "Run",
    "StepFailed",
    "StubStep",
    "Stuck",
    "Takes",
    "Unknown",
    "Usage",
    "play",
]
