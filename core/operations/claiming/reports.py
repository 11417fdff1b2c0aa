"""Reports: what executors say of the leases they hold."""

from __future__ import annotations

import asyncio
from typing import Literal

from ....claim.wire import (
    Acknowledged,
    Call,
    CompleteBody,
    ErrorInfo,
    FailBody,
    HeartbeatAnswer,
    HeartbeatBody,
    StepReport,
    StepReportResult,
)
from ...engine import Engine
from ...errors import InvalidRequest, LeaseholdError, LeaseLost, NotFound, NotOwner, PayloadTooLarge, Unavailable
from ...ids import LeaseName, parse_step_id
from ...lanes import codec
from ...lanes.lane import Lane
from ...lanes.memory.resident import Resident
from ...lanes.tickets import Ticket
from ...machine.events import AnyEvent, Completed, Failed, Heartbeat, Refused, Released
from ...machine.state import Instance, StepState, StepStatus
from ...peers import Peers, Relayed, ReportAt
from ...principal import Principal
from ...problems import problem_of
from ..looking.reads import Reads

_ERROR_CHARACTERS = 8_192

Body = CompleteBody | FailBody | HeartbeatBody | None


class Reports:
    """Completions, failures, heartbeats and releases of this replica's lanes."""

    def __init__(self, engine: Engine, reads: Reads, peers: Peers) -> None:
        self._engine = engine
        self._reads = reads
        self._peers = peers

    async def report(self, principal: Principal, step_id: str, body: Body) -> Acknowledged | HeartbeatAnswer:
        """One report; `body` None releases. Raises: LeaseLost; NotFound; PayloadTooLarge; Unavailable; Relayed."""
        ticket = Ticket()
        try:
            submitted = self._submit(principal, step_id, body, ticket, 0)
        except NotOwner as error:
            (result,) = await self._relay(principal, [_report_of(step_id, body)], error)
            return _answer(result)
        if not submitted:
            return await self._ended(principal, step_id, body)
        answer: Acknowledged | HeartbeatAnswer = await ticket.answer()
        return answer

    async def report_many(self, principal: Principal, reports: list[StepReport]) -> list[StepReportResult]:
        """Many reports, settled together by as few bulks as their lanes allow; others' go to their owners at once."""
        ticket = Ticket(len(reports))
        ended: list[int] = []
        elsewhere: dict[str, list[int]] = {}
        for slot, report in enumerate(reports):
            try:
                if not self._submit(principal, report.step_id, _body_of(report), ticket, slot):
                    ended.append(slot)
            except NotOwner as error:
                if error.address is None:
                    ticket.settle(slot, error)
                else:
                    elsewhere.setdefault(error.address, []).append(slot)
            except LeaseholdError as error:
                ticket.settle(slot, error)
        async with asyncio.TaskGroup() as group:
            for address, slots in elsewhere.items():
                group.create_task(self._relay_many(principal, reports, address, slots, ticket))
        for slot in ended:
            report = reports[slot]
            try:
                ticket.settle(slot, await self._ended(principal, report.step_id, _body_of(report)))
            except LeaseholdError as error:
                ticket.settle(slot, error)
        outcomes = await ticket.wait()
        return [_result(report.step_id, outcome) for report, outcome in zip(reports, outcomes, strict=True)]

    async def _relay_many(
        self, principal: Principal, reports: list[StepReport], address: str, slots: list[int], ticket: Ticket
    ) -> None:
        try:
            answer = await self._peers.ask(address, ReportAt(principal, [reports[slot] for slot in slots]))
        except LeaseholdError as error:
            for slot in slots:
                ticket.settle(slot, error)
            return
        for slot, result in zip(slots, answer.reports or [], strict=True):
            ticket.settle(slot, result)

    async def _relay(self, principal: Principal, reports: list[StepReport], owner: NotOwner) -> list[StepReportResult]:
        if owner.address is None:
            raise owner
        return (await self._peers.ask(owner.address, ReportAt(principal, reports))).reports or []

    def _submit(self, principal: Principal, step_id: str, body: Body, ticket: Ticket, slot: int) -> bool:
        """Apply a report to the instance in memory; False when memory does not hold the instance (it has ended)."""
        name = _parsed(step_id)
        lane = self._engine.lane_of(name.instance_id)
        if lane is None:
            raise NotFound("step", step_id)
        resident = lane.residents.get(name.instance_id)
        if resident is None:
            return False
        if not self._engine.access.serves(principal, resident.instance, _action_of(body), name.path):
            raise NotFound("step", step_id)
        if isinstance(body, HeartbeatBody):
            self._heartbeat(lane, resident, step_id, name, body, ticket, slot)
        else:
            self._finish_attempt(lane, resident, step_id, name, body, ticket, slot)
        return True

    def _finish_attempt(
        self,
        lane: Lane,
        resident: Resident,
        step_id: str,
        name: LeaseName,
        body: CompleteBody | FailBody | None,
        ticket: Ticket,
        slot: int,
    ) -> None:
        event, side = self._event(lane, resident, name, body)
        refused = lane.apply(resident, event)
        if refused is not None:
            # No write decides about a refusal.
            _check_trusted(lane)
            raise _lease_lost(step_id, name, refused)
        if side is not None:
            resident.side_writes += (side,)
        state = resident.instance.steps.get(name.path)
        # A step that is forgotten as soon as it is done was done well: one that failed is kept.
        status = StepStatus.SUCCEEDED if state is None else state.status
        lane.answer(resident, ticket, slot, Acknowledged(step_id, status))

    def _event(
        self, lane: Lane, resident: Resident, name: LeaseName, body: CompleteBody | FailBody | None
    ) -> tuple[AnyEvent, tuple[str, bytes] | None]:
        now_ms = self._engine.clock.now_ms()
        if body is None:
            return Released(now_ms, name.path, name.token), None
        if body.calls:
            self._check_size("calls", body.calls)
        calls = tuple(body.calls)
        if isinstance(body, FailBody):
            random, error = self._engine.random.random(), _kept_short(body.error)
            return Failed(now_ms, name.path, name.token, error, body.retryable, body.usage, calls, random), None
        result, side = body.result, None
        encoded = self._check_size("result", result)
        if _holds(resident.instance, name):
            # Only the holder's result is stored; anybody else's is refused by the machine.
            result, side = lane.side_value(resident.id, f"{name.path}:{name.token}", result, encoded)
        return Completed(now_ms, name.path, name.token, result, body.usage, calls), side

    def _heartbeat(
        self,
        lane: Lane,
        resident: Resident,
        step_id: str,
        name: LeaseName,
        body: HeartbeatBody,
        ticket: Ticket,
        slot: int,
    ) -> None:
        _check_trusted(lane)
        if not _holds(resident.instance, name):
            ticket.settle(slot, _told_to_stop(resident.instance, step_id, name, resident))
            return
        answer = HeartbeatAnswer(lane.timers.renew(resident, name.path))
        if body.progress is not None or body.message is not None:
            resident.report_progress(name.path, body.progress, body.message)
        if body.checkpoint is None and body.usage is None and not body.calls:
            ticket.settle(slot, answer)
            return
        self._check_size("checkpoint", body.checkpoint)
        if body.calls:
            self._check_calls(resident, body.calls)
        event = Heartbeat(
            self._engine.clock.now_ms(), name.path, name.token, body.checkpoint, body.usage, tuple(body.calls)
        )
        refused = lane.apply(resident, event)
        if refused is not None:
            raise _lease_lost(step_id, name, refused)
        if not _holds(resident.instance, name):
            answer = _told_to_stop(resident.instance, step_id, name, resident)
        lane.answer(resident, ticket, slot, answer)

    async def _ended(self, principal: Principal, step_id: str, body: Body) -> Acknowledged | HeartbeatAnswer:
        """A report on an instance that is in memory no more: history knows how its step ended."""
        name = _parsed(step_id)
        found = await self._reads.unchecked(name.instance_id)
        if found is None or not self._engine.access.serves(principal, found.instance, _action_of(body), name.path):
            raise NotFound("step", step_id)
        state = found.instance.steps.get(name.path)
        if state is None:
            raise NotFound("step", step_id)
        if isinstance(body, HeartbeatBody):
            return _told_to_stop(found.instance, step_id, name)
        if isinstance(body, CompleteBody) and state.status is StepStatus.SUCCEEDED and state.token == name.token:
            return Acknowledged(step_id, state.status.value)
        raise _stale(step_id, name, state)

    def _check_calls(self, resident: Resident, calls: list[Call]) -> None:
        """Lots on their way to history stand in the instance's document, which has to have room for them."""
        size = len(self._check_size("calls", calls))
        waiting = sum(len(one.encoded) for one in resident.outbox.values() if one.entry.kind == "calls")
        if waiting and waiting + size > self._engine.settings.limits.payload_max_bytes:
            raise Unavailable(
                f"{waiting} bytes of calls are on their way to history: report these again, they were not taken; the"
                " lease is renewed"
            )

    def _check_size(self, what: str, value: object) -> bytes:
        encoded = codec.encode_json(value)
        limit = self._engine.settings.limits.payload_max_bytes
        if len(encoded) > limit:
            raise PayloadTooLarge(what, len(encoded), limit)
        return encoded


def _parsed(step_id: str) -> LeaseName:
    name = parse_step_id(step_id)
    if name is None:
        raise NotFound("step", step_id, "a step_id is what a claim answered")
    return name


def _holds(instance: Instance, name: LeaseName) -> bool:
    state = instance.steps.get(name.path)
    return state is not None and state.status is StepStatus.CLAIMED and state.token == name.token


def _told_to_stop(
    instance: Instance, step_id: str, name: LeaseName, resident: Resident | None = None
) -> HeartbeatAnswer:
    """The holder of an ended lease is told to stop where its instance or step was ended; else it has lost its lease."""
    state = instance.steps.get(name.path)
    stopped = None if resident is None or resident.stopped is None else resident.stopped.get(name.path)
    if state is None and stopped is None:
        raise NotFound("step", step_id)
    if stopped is not None and stopped[0] == name.token and (state is None or state.status in _STOPPED):
        return HeartbeatAnswer(0, cancel=True, reason=stopped[1])
    assert state is not None
    if state.status in _STOPPED and name.token <= instance.tokens:
        return HeartbeatAnswer(0, cancel=True, reason=_why_stopped(instance, state))
    raise _stale(step_id, name, state)


# A step that its holder is to stop working on, rather than one that somebody else works on.
_STOPPED = frozenset({StepStatus.CANCELLED, StepStatus.FAILED, StepStatus.SKIPPED})


def _why_stopped(instance: Instance, state: StepState) -> str:
    """As the instance remembers it: the step's own error, or what has ended the instance (a budget, a person)."""
    error = state.error or instance.error
    if error is None:
        return f"the instance is {instance.status}, the step {state.status}"
    return f"{error.type}: {error.message}"


def _stale(step_id: str, name: LeaseName, state: StepState) -> LeaseLost:
    held = state.token if state.status is StepStatus.CLAIMED else 0
    now = f"the token that holds is {held}" if held else f"nobody holds the step, which is {state.status}"
    return LeaseLost(step_id, held, f"token {name.token} does not hold step {name.path!r} any more: {now}")


def _check_trusted(lane: Lane) -> None:
    """What memory says of leases, and nothing else, is an answer only while nobody else can own the lane."""
    if not lane.trusted:
        raise Unavailable(f"lane {lane.name} may have another owner by now")


def _lease_lost(step_id: str, name: LeaseName, refused: Refused) -> LeaseholdError:
    if refused.reason == "unknown_step":
        return NotFound("step", step_id)
    return LeaseLost(step_id, refused.token_held, refused.detail)


def _action_of(body: Body) -> Literal["complete", "fail", "heartbeat", "release"]:
    """What executors call a report with this body."""
    if body is None:
        return "release"
    if isinstance(body, HeartbeatBody):
        return "heartbeat"
    return "complete" if isinstance(body, CompleteBody) else "fail"


def _body_of(report: StepReport) -> Body:
    if report.action == "release":
        return None
    if report.action == "complete":
        return report.complete or CompleteBody()
    if report.action == "heartbeat":
        return report.heartbeat or HeartbeatBody()
    if report.fail is None:
        raise InvalidRequest("a report with action 'fail' needs `fail: {error: {type, message}}`")
    return report.fail


def _kept_short(error: ErrorInfo) -> ErrorInfo:
    """An error stands in the instance's document several times over, so its message has a bound of its own."""
    if len(error.message) <= _ERROR_CHARACTERS:
        return error
    return ErrorInfo(error.type, error.message[:_ERROR_CHARACTERS] + " (cut)")


def _report_of(step_id: str, body: Body) -> StepReport:
    """The opposite of `_body_of`."""
    if isinstance(body, CompleteBody):
        return StepReport(step_id, "complete", complete=body)
    if isinstance(body, FailBody):
        return StepReport(step_id, "fail", fail=body)
    if isinstance(body, HeartbeatBody):
        return StepReport(step_id, "heartbeat", heartbeat=body)
    return StepReport(step_id, "release")


def _answer(result: StepReportResult) -> Acknowledged | HeartbeatAnswer:
    """What an owner answered, as one's own answer. Raises: Relayed."""
    if result.problem is not None:
        raise Relayed(result.problem)
    if result.heartbeat is not None:
        return result.heartbeat
    return Acknowledged(result.step_id, result.status or "")


def _result(
    step_id: str, outcome: Acknowledged | HeartbeatAnswer | StepReportResult | LeaseholdError
) -> StepReportResult:
    if isinstance(outcome, StepReportResult):
        return outcome
    if isinstance(outcome, Acknowledged):
        return StepReportResult(step_id, 200, status=outcome.status)
    if isinstance(outcome, HeartbeatAnswer):
        return StepReportResult(step_id, 200, heartbeat=outcome)
    problem = problem_of(outcome)
    return StepReportResult(step_id, problem.status, problem=problem)
