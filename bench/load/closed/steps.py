"""Requests that claim and complete steps, and what is read of their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator

import msgspec
from msgspec import Struct

from ..http1 import Address, Answer, ConnectionLost
from ..principal import headers_of
from .conversations import Conversation

OK = 200
NOTHING = 204
_COMPLETION = b'{"result":{"ok":true}}'
_REPORT = b'{"step_id":"%b","action":"complete","complete":{"result":{"ok":true}}}'


class Payload(Struct):
    n: int
    due_ms: int = 0


class Step(Struct):
    """What is read of a claimed step."""

    step_id: str
    run_path: str
    payload: Payload


class _Steps(Struct):
    steps: list[Step]


class _Result(Struct):
    code: int


class _Results(Struct):
    results: list[_Result]


_step = msgspec.json.Decoder(Step)
_steps = msgspec.json.Decoder(_Steps)
_results = msgspec.json.Decoder(_Results)


def steps_of(body: bytes, *, single: bool) -> list[Step]:
    """The steps in a claim's answer; `single`: the claim was one without `max`."""
    return [_step.decode(body)] if single else _steps.decode(body).steps


def claim_request(
    scheduler: Address, capability: str, tenant: str | None, *, max_steps: int | None, lease_ms: int, wait_ms: int
) -> bytes:
    """A claim of up to `max_steps` steps (None: the call for one) by executors of a tenant, or of the default one."""
    most = "" if max_steps is None else f"&max={max_steps}"
    target = f"/_workflows/_steps/_claim?capability={capability}&lease={lease_ms}ms&wait={wait_ms}ms{most}"
    return scheduler.request("POST", target, headers=headers_of(tenant))


class Reporting:
    """Completions, and what came of them."""

    def __init__(self, scheduler: Address, tenant: str | None, *, single: bool) -> None:
        self._address = scheduler
        self._headers = headers_of(tenant)
        self._single = single
        self.completed = 0
        self.completed_ns = 0
        self.in_flight = 0
        self.refused: Counter[int] = Counter()

    def conversation(self, batches: Iterator[list[Step]]) -> Conversation:
        for steps in batches:
            yield from self.completion(steps)

    def completion(self, steps: list[Step]) -> Generator[bytes | float, Answer, Answer | None]:
        """One request, and its answer; a connection that is lost leaves its completions refused, under code 0."""
        self.in_flight += 1
        try:
            answer = yield self._request(steps)
        except ConnectionLost:
            self.refused[0] += len(steps)
            return None
        finally:
            self.in_flight -= 1
        self.completed_ns = answer.arrived_ns
        codes = Counter({answer.status: len(steps)})
        if answer.status == OK and not self._single:
            codes = Counter(result.code for result in _results.decode(answer.body).results)
        self.completed += codes.pop(OK, 0)
        self.refused.update(codes)
        return answer

    def _request(self, steps: list[Step]) -> bytes:
        if self._single:
            target, body = f"/_workflows/_steps/{steps[0].step_id}/_complete", _COMPLETION
        else:
            reports = b",".join(_REPORT % step.step_id.encode() for step in steps)
            target, body = "/_workflows/_steps/_bulk", b'{"reports":[%b]}' % reports
        return self._address.request("POST", target, body, headers=self._headers)
