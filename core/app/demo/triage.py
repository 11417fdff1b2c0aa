"""The main job: a server's own log, cut into starts of `log-triage`, and its instances followed to their end."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ....claim.wire import DecisionBody, InstanceView, StartAnswer, StartBody, StepView
from ..commands.remote import Remote, segment
from .processes import LOOK_INTERVAL_S, DemoFailed

WORKFLOW = "log-triage"
# Half of what one payload may have: the lines come back, framed, as the input of the step that indexes them.
PORTION_BYTES = 131_072

_FINAL_STEP = ("succeeded", "failed", "skipped", "cancelled")
_FINAL_INSTANCE = ("succeeded", "failed", "cancelled", "terminated")
_INSTANCE_WITHIN_S = 120.0
_ANSWER_WITHIN_S = 30.0


class Ended(Struct, frozen=True):
    """A step that has ended."""

    step: StepView


class Asked(Struct, frozen=True):
    """A step that waits for an approval."""

    step: StepView


def portions(log_file: Path) -> list[list[str]]:
    """The log's complete lines in portions that a start can carry. Raises: DemoFailed."""
    try:
        text = log_file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DemoFailed(f"the server's log {log_file} can't be read: {error.strerror}") from error
    found: list[list[str]] = []
    room_bytes = 0
    for line in text.splitlines(keepends=True):
        size_bytes = len(json.dumps(line))
        if not line.endswith("\n") or not line.strip() or size_bytes > PORTION_BYTES:
            continue
        if size_bytes > room_bytes:
            found.append([])
            room_bytes = PORTION_BYTES
        found[-1].append(line.rstrip("\n"))
        room_bytes -= size_bytes
    if not found:
        raise DemoFailed(f"the server's log {log_file} holds no line")
    return found


def start(remote: Remote, lines: list[str], *, index: str) -> str:
    """Start an instance on these lines; its id. The key makes a repeat harmless."""
    body = StartBody(params={"index": index, "lines": lines})
    answer = remote.ask(
        "POST",
        f"/_workflows/{WORKFLOW}/_start",
        StartAnswer,
        headers={"Idempotency-Key": f"demo-{index}"},
        body=msgspec.json.encode(body),
    )
    return answer.instance_id


def approve(remote: Remote, instance_id: str, step: str) -> None:
    """Grant what a step waits for, as a person would over HTTP."""
    remote.ask(
        "POST",
        f"/_workflows/_instances/{segment(instance_id)}/_approve",
        InstanceView,
        query={"step": step},
        body=msgspec.json.encode(DecisionBody(comment="seen by the demonstration")),
    )


def follow(remote: Remote, instance_id: str, *, check: Callable[[], None]) -> Iterator[Ended | Asked | InstanceView]:
    """What happens to an instance, as it happens; its final view last. Raises: DemoFailed; what `check` raises."""
    told: set[tuple[str, str]] = set()
    deadline = time.monotonic() + _INSTANCE_WITHIN_S
    while True:
        view = remote.ask("GET", f"/_workflows/_instances/{segment(instance_id)}", InstanceView)
        for step in sorted(view.steps, key=lambda step: step.finished_at_ms or math.inf):
            waits = step.status == "waiting" and step.approval is not None
            if (waits or step.status in _FINAL_STEP) and (step.run_path, step.status) not in told:
                told.add((step.run_path, step.status))
                yield Asked(step) if waits else Ended(step)
        if view.status in _FINAL_INSTANCE:
            yield view
            return
        check()
        if time.monotonic() > deadline:
            raise DemoFailed(f"instance {instance_id} is {view.status} after {_INSTANCE_WITHIN_S:g} s, not ended")
        time.sleep(LOOK_INTERVAL_S)


def finished_attempts(elasticsearch: str, instance_ids: list[str]) -> list[dict[str, Any]]:
    """The rows of these instances that `workflow-steps` shows to a search, in the order of their ends."""
    _posted(f"{elasticsearch}/workflow-steps/_refresh", b"")
    body = {
        "query": {"terms": {"workflow.id": instance_ids}},
        "sort": ["step.finished_at", "step.name"],
        "size": 1_000,
        "_source": {"excludes": ["step.input*", "step.output*", "calls"]},
    }
    answer = _posted(f"{elasticsearch}/workflow-steps/_search", msgspec.json.encode(body))
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def attempts_made(view: InstanceView) -> int:
    """How many attempts an ended instance has made: each of them becomes one row."""
    return sum(step.attempt for step in view.steps)


def _posted(address: str, body: bytes) -> Any:
    """What this run's own Elasticsearch answers. Raises: DemoFailed."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN_S) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read())
    except OSError as error:
        raise DemoFailed(f"Elasticsearch does not answer at {address}: {error}") from error
