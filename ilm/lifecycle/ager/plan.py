"""What is due: pure, from a policy, what is known of a family's indices, and the time.

ILM's own rules (Elastic, "Index lifecycle"; TimeseriesLifecycleType), read off what stands instead of kept as a state:

- An index stays in `hot` until its alias has rolled over from it; from then on its age counts. It goes through the
  phases in their order, and enters none before the one in front of it. Its actions come in ILM's order.
- An action is done when the index shows it: a setting that has its value, a block, a number of segments. So nothing is
  ever noted down, and whoever comes after a crash sees what is left to do.
- Of settings that several phases give, the last phase that was entered decides. What is due to be deleted is deleted,
  and nothing else is done to it before.
- What comes behind a force-merge waits until that is done, but for the deletion.
- The index that is written to is only rolled over and given its priority. An index that is neither that nor was ever
  rolled over does not age, as with ILM: nobody knows when its last row came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...policies import ALLOWED, PHASES, PhaseName, Policy, min_age_ms, rollover_conditions
from ..facts import FamilyFacts, IndexFacts
from ..settled import allocation, missing, priority
from .steps import Block, Merge, Remove, Roll, Settle, Step


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one index stands. `done` and `left_out` name actions as `<phase>.<action>`, `left_out` with the reason.

    `held` says what keeps the index from what is due, and how to get it out of the way; nothing is due then.
    """

    phase: PhaseName
    next_phase: PhaseName | None
    next_at_ms: int | None
    done: tuple[str, ...]
    due: tuple[Step, ...]
    left_out: tuple[str, ...]
    under_way: str | None = None
    held: str | None = None


def due(policy: Policy, family: FamilyFacts, now_ms: int) -> list[Step]:
    """Everything that is due in this family at `now_ms`: the oldest index first, of each in the order to keep."""
    return [step for index in family.indices for step in standing(policy, family, index, now_ms).due]


def standing(policy: Policy, family: FamilyFacts, index: IndexFacts, now_ms: int) -> Standing:
    """Where one of the family's indices stands at `now_ms`."""
    phases = _entered(policy, index, now_ms)
    findings = _Findings(policy, family, index, phases)
    upcoming = next((phase for phase in PHASES if phase in policy.phases and PHASES.index(phase) > _last(phases)), None)
    held = _held(family, index, findings.due)
    return Standing(
        phase=phases[-1],
        next_phase=upcoming,
        next_at_ms=None if upcoming is None else _enters_at_ms(policy, index, upcoming),
        done=tuple(findings.done),
        due=() if held else tuple(findings.due),
        left_out=tuple(findings.left_out),
        under_way=findings.under_way,
        held=held,
    )


def _last(phases: list[PhaseName]) -> int:
    return PHASES.index(phases[-1])


def _entered(policy: Policy, index: IndexFacts, now_ms: int) -> list[PhaseName]:
    """The phases that the index has entered, in order: none before the one in front of it."""
    entered: list[PhaseName] = ["hot"]
    for phase in PHASES[1:]:
        if phase in policy.phases:
            at_ms = _enters_at_ms(policy, index, phase)
            if at_ms is None or at_ms > now_ms:
                break
            entered.append(phase)
    return entered


def _enters_at_ms(policy: Policy, index: IndexFacts, phase: PhaseName) -> int | None:
    """When the index is old enough for the phase; None while nobody knows."""
    if index.rolled_at_ms is None or index.is_write_index:
        return None
    return index.rolled_at_ms + (min_age_ms(policy, phase) or 0)


def _held(family: FamilyFacts, index: IndexFacts, due: list[Step]) -> str | None:
    """What would have Elasticsearch refuse what is due, or do it in vain."""
    removes = any(isinstance(step, Remove) for step in due)
    if not due:
        return None
    if index.closed and not removes:
        return f"it is closed; open it (POST /{index.index}/_open) or delete it"
    if index.segments is None and any(isinstance(step, Merge) for step in due):
        return "none of its copies is started; GET /_cluster/allocation/explain says why"
    rolls = any(isinstance(step, Roll) for step in due)
    # For a roll-over, Elasticsearch asks all indices behind the alias whether they may be changed.
    asked = family.indices if rolls else (index,)
    blocked = [(one.index, blocks) for one in asked if (blocks := _blocks(one, removes))]
    if not blocked:
        return None
    names = ", ".join(f"{name} has {' and '.join(blocks)}" for name, blocks in blocked)
    return f"{names}; where rows are not to change, index.blocks.write says so and lets an index age"


def _blocks(index: IndexFacts, removes: bool) -> list[str]:
    return [block for block in index.blocks if not (removes and block == "index.blocks.read_only_allow_delete")]


class _Findings:
    """One way through the actions of the phases that an index has entered."""

    def __init__(self, policy: Policy, family: FamilyFacts, index: IndexFacts, phases: list[PhaseName]) -> None:
        self._policy = policy
        self._family = family
        self._index = index
        self._phases = phases
        self.done: list[str] = []
        self.due: list[Step] = []
        self.left_out: list[str] = []
        self.under_way: str | None = None
        # An alias that writes to none of these is not in order, and nothing is done until it is.
        if family.write_index is not None:
            self._go_through()
            if phases[-1] == "delete" and self._removes():
                self.due = [Remove(family.family, index.index)]

    def _go_through(self) -> None:
        for phase, action, parameters in self._actions():
            name = f"{phase}.{action}"
            reason = _left_out(self._index, action, parameters)
            if reason is not None:
                self.left_out.append(f"{name}: {reason}")
                continue
            if "index_codec" in parameters:
                self.left_out.append(f"{name}.index_codec: only ILM changes it; what is merged keeps its codec")
            step = self._step(phase, action, parameters)
            if step is None:
                self.done.append(name)
            elif isinstance(step, Merge) and self._index.merging:
                self.under_way = name
            elif not (isinstance(step, Block) and any(isinstance(one, Block) for one in self.due)):
                self.due.append(step)
            if isinstance(step, Merge | Roll):
                return

    def _actions(self) -> Iterator[tuple[PhaseName, str, Mapping[str, Any]]]:
        """What is to be looked at, in order: an index that never rolled over goes no further than its roll-over."""
        for phase in self._phases:
            actions = self._policy.actions(phase)
            for action in ALLOWED[phase]:
                if action == "rollover" and self._index.rolled_at_ms is None and not self._index.is_write_index:
                    return
                if action in actions and action != "delete":
                    yield phase, action, actions[action] or {}

    def _removes(self) -> bool:
        actions = self._policy.actions("delete")
        return "delete" in actions and "wait_for_snapshot" not in actions

    def _step(self, phase: PhaseName, action: str, parameters: Mapping[str, Any]) -> Step | None:
        """What the action takes; None when the index shows that it is done."""
        family, index = self._family, self._index
        match action:
            case "rollover":
                if not index.is_write_index:
                    return None
                following = f"{family.alias}-{family.highest + 1:06d}"
                return Roll(
                    family.family, index.index, phase, family.alias, following, rollover_conditions(self._policy)
                )
            case "readonly":
                blocked = index.settings.get("index.blocks.write") == "true"
                return None if blocked else Block(family.family, index.index, phase)
            case "forcemerge":
                most = int(parameters["max_num_segments"])
                merged = index.segments is not None and index.segments <= most
                return None if merged else Merge(family.family, index.index, phase, most)
            case _:
                lacking = missing(index.settings, self._settings(phase, action))
                return Settle(family.family, index.index, phase, action, lacking) if lacking else None

    def _settings(self, phase: PhaseName, action: str) -> Mapping[str, str | None]:
        """What an action of this phase gives, without what a later phase that was entered gives too."""
        if action not in _SETTINGS:
            return {}
        of = _SETTINGS[action]
        wanted = of(self._policy.actions(phase)[action])
        for later in self._phases[self._phases.index(phase) + 1 :]:
            overruled = of(self._policy.actions(later).get(action) or {})
            wanted = {name: value for name, value in wanted.items() if name not in overruled}
        return wanted


_SETTINGS = {"set_priority": priority, "allocate": allocation}


def _left_out(index: IndexFacts, action: str, parameters: Mapping[str, Any]) -> str | None:
    """Why this backend leaves an action out; None for one that it carries out, or that does nothing for any index."""
    match action:
        case "shrink" if index.shards > 1:
            return f"the index has {index.shards} shards; only ILM shrinks indices"
        case "searchable_snapshot":
            return "only ILM mounts snapshots; the index stays as it is"
        case "downsample":
            return "only ILM downsamples, and it would skip this index, which is no time series"
        case "migrate" if parameters.get("enabled", True):
            return "only ILM moves indices between data tiers; `allocate` moves them by attributes of nodes"
        case "wait_for_snapshot":
            policy = parameters.get("policy")
            return f"only ILM knows when the snapshot policy {policy!r} has run, so the index is not deleted"
        case _:
            return None
