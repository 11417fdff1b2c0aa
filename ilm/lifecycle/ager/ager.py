"""The backend for clusters without index lifecycle management: it does the work itself, pass by pass.

A pass looks at what stands, works out what is due (`plan`), and asks for it, one request for each step. Nothing is kept
between passes: an ager that dies, or meets another one at work, leaves or finds a state from which the next pass goes
on. What somebody else was quicker with (the next index is there already, the index is gone) is no error.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...names import IndexNames
from ...policies import Policy
from ...requests import Requests, error_of
from ..asking import cluster_blocks, look, refusal
from ..facts import FamilyFacts, IndexFacts
from ..interface import BackendName, Done, IndexStatus
from ..words import without_write_index
from .plan import Standing, due, standing
from .requests import request_for
from .steps import Block, Merge, Remove, Roll, Settle, Step

_GONE = "index_not_found_exception"
_THERE = "resource_already_exists_exception"


class Ager:
    """One pass looks at what stands, works out what is due and asks for it."""

    name: BackendName = "ager"
    run_on_a_server = True

    def __init__(self, requests: Requests, names: IndexNames) -> None:
        self._requests = requests
        self._names = names

    async def apply(self, policies: Mapping[str, Policy]) -> list[str]:
        """Nothing to tell the cluster: each pass reads the policies that it is given."""
        return []

    async def pass_once(self, policies: Mapping[str, Policy], now_ms: int) -> list[Done]:
        found = await look(self._requests, self._names, policies)
        steps = [step for family, policy in policies.items() for step in due(policy, found[family], now_ms)]
        # One force-merge at a time, over all families: they take the disks' time from everything else.
        merging = any(index.merging for family in found.values() for index in family.indices)
        done: list[Done] = []
        refused: set[str] = set()
        for step in steps:
            if step.index in refused or (merging and isinstance(step, Merge)):
                continue
            merging = merging or isinstance(step, Merge)
            outcome = await self._carry_out(step)
            if outcome is not None:
                done.append(outcome)
                if outcome.error is not None:
                    refused.add(step.index)
        return done

    async def _carry_out(self, step: Step) -> Done | None:
        """Ask for one step; None where nothing came of it, and nothing had to."""
        method, path, body = request_for(step)
        status, answer = await self._requests(method, path, body)
        error_type, _ = error_of(answer)
        if status >= 300:
            if error_type == _GONE or (isinstance(step, Roll) and error_type == _THERE):
                return None
            reason = refusal(method, path, status, answer)
            return Done(step.family, step.index, step.action, f"{step.index}: {step.action} was refused", error=reason)
        if isinstance(step, Roll) and not answer.get("rolled_over"):
            return None
        unblocked = [one["name"] for one in answer.get("indices", ()) if not one.get("blocked", True)]
        if unblocked:
            reason = f"Elasticsearch could not let {', '.join(unblocked)} wait for its last writes; the next pass tries"
            return Done(step.family, step.index, step.action, f"{step.index}: {step.action} was refused", error=reason)
        return Done(step.family, step.index, step.action, _told(step))

    async def status(self, policies: Mapping[str, Policy], now_ms: int) -> list[IndexStatus]:
        found = await look(self._requests, self._names, policies)
        return [
            _status(policy, found[family], index, now_ms)
            for family, policy in policies.items()
            for index in found[family].indices
        ]

    async def findings(self, policies: Mapping[str, Policy]) -> list[str]:
        found = await look(self._requests, self._names, policies)
        without = [without_write_index(family) for family in found.values() if family.write_index is None]
        return [*await cluster_blocks(self._requests), *without]


def _told(step: Step) -> str:
    match step:
        case Roll():
            return f"{step.alias} rolled over to {step.next_index}"
        case Settle():
            given = ", ".join(f"{name}: {value}" for name, value in step.settings.items())
            return f"{step.index} was given {given}"
        case Block():
            return f"{step.index} takes no more writes"
        case Merge():
            return f"{step.index} is being merged to {step.max_num_segments} or fewer segments"
        case Remove():
            return f"{step.index} was deleted"


def _status(policy: Policy, family: FamilyFacts, index: IndexFacts, now_ms: int) -> IndexStatus:
    found = standing(policy, family, index, now_ms)
    return IndexStatus(
        family=family.family,
        index=index.index,
        phase=found.phase,
        is_write_index=index.is_write_index,
        created_at_ms=index.created_at_ms,
        rolled_at_ms=index.rolled_at_ms,
        docs=index.docs,
        bytes=index.bytes,
        done=found.done,
        due=tuple(f"{step.phase}.{step.action}" for step in found.due if not isinstance(step, Roll)),
        next_phase=found.next_phase,
        next_at_ms=found.next_at_ms,
        under_way=found.under_way,
        error=_error(found, family, index),
        not_carried_out=found.left_out,
    )


def _error(found: Standing, family: FamilyFacts, index: IndexFacts) -> str | None:
    if found.held is not None or family.write_index is None:
        return found.held or without_write_index(family)
    if index.rolled_at_ms is None and not index.is_write_index:
        return (
            f"it was never rolled over and {family.alias} writes to {family.write_index.index}, so nobody knows since "
            f"when it takes no more rows; it does not age: delete it when it is no longer needed"
        )
    return None
