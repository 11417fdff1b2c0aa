"""From a document to a policy that is known to be valid, or to everything that is wrong with it.

Whatever is valid here is taken by Elasticsearch 8.19 with the same meaning. The reverse does not hold, on purpose: what
Elasticsearch lets pass although it is a mistake is refused (`kinds`, `units`), ages that fall from phase to phase are
faults (Elasticsearch only warns of them), and our own rules come on top (`rules`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .actions import ACTIONS, Parameter
from .kinds import Kind, duration, encodable
from .model import ALLOWED, FAMILIES, PHASES, Fault, PhaseName, Policy, PolicyInvalid, copied
from .rules import ReadPhase, rule_faults
from .units import LONG_MAX
from .words import listed, place, shown, unknown

FAULTS_MAX = 100
META_DEPTH = 20

# What stands beside `policy` where Elasticsearch answers with one (LifecyclePolicyMetadata, GetLifecycleAction).
_ENVELOPE = ("policy", "version", "modified_date", "modified_date_string", "headers", "in_use_by")
# LifecyclePolicy and Phase. `deprecated`, a mark for Elastic's own old policies, is left out.
_POLICY_KEYS = ("phases", "_meta")
_PHASE_KEYS = ("min_age", "actions")
_MIN_AGE = duration()
# Read as TimeValue.ZERO, which stands for no age at all. A zero in another unit is an age to Elasticsearch.
_NO_AGE = ("0", "0ms")


def parse(family: str, document: Any) -> Policy:
    """A policy from a document, `{"phases": ...}` or as Elasticsearch writes it `{"policy": {"phases": ...}}`.

    Raises: PolicyInvalid with every fault, of very many the first ones. Nothing else, whatever the document is.
    """
    reading = _Reading()
    if family not in FAMILIES:
        raise PolicyInvalid(str(family)[:128], [Fault("", unknown(family, FAMILIES, what="family"))])
    policy = reading.policy(document)
    if reading.faults:
        raise PolicyInvalid(family, reading.faults)
    phases: dict[str, Any] = {name: copied(policy["phases"][name]) for name in PHASES if name in policy["phases"]}
    return Policy(family, phases, copied(policy["_meta"]) if "_meta" in policy else None)


class _Reading:
    """One document being read. Methods take a path and what stands there, and note what is wrong."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def policy(self, document: Any) -> Mapping[str, Any]:
        """The policy as it stands in the document, past what is around it."""
        path = ""
        if not self._object(path, document):
            return {}
        if "policy" in document:
            self._keys(path, document, _ENVELOPE)
            path, document = "policy", document["policy"]
            if not self._object(path, document):
                return {}
        self._keys(path, document, _POLICY_KEYS)
        if "_meta" in document and self._object(place(path, "_meta"), document["_meta"]):
            self._json(place(path, "_meta"), document["_meta"], META_DEPTH)
        if "phases" not in document:
            self._fault(path, f"`phases` is missing; allowed: an object with phases, of {listed(PHASES)}")
        else:
            self._phases(place(path, "phases"), document["phases"])
        inner: Mapping[str, Any] = document
        return inner

    def _phases(self, path: str, phases: Any) -> None:
        if not self._object(path, phases):
            return
        self._keys(path, phases, PHASES, what="phase")
        read = {name: self._phase(place(path, name), name, phases[name]) for name in PHASES if name in phases}
        self.faults.extend(rule_faults(path, read))

    def _phase(self, path: str, name: PhaseName, phase: Any) -> ReadPhase:
        if not self._object(path, phase):
            return ReadPhase(name, broken=True)
        self._keys(path, phase, _PHASE_KEYS)
        age = self._value(place(path, "min_age"), phase["min_age"], _MIN_AGE) if "min_age" in phase else 0
        where = place(path, "actions")
        if "actions" not in phase:
            self._fault(path, "`actions` is missing; allowed: an object with actions, `{}` for none")
            return ReadPhase(name, age, given=phase.get("min_age", "0") not in _NO_AGE, broken=True)
        if not self._object(where, phase["actions"]):
            return ReadPhase(name, age, given=phase.get("min_age", "0") not in _NO_AGE, broken=True)
        actions = {
            action: self._action(place(where, action), action, phase["actions"][action])
            for action in ALLOWED[name]
            if action in phase["actions"]
        }
        self._misplaced(where, name, (key for key in phase["actions"] if key not in actions))
        return ReadPhase(name, age, actions, given=phase.get("min_age", "0") not in _NO_AGE)

    def _misplaced(self, path: str, phase: PhaseName, keys: Iterable[Any]) -> None:
        """Actions that do not exist, and those that exist in other phases alone."""
        for key in keys:
            elsewhere = [name for name in PHASES if key in ALLOWED[name]]
            message = unknown(key, ALLOWED[phase], what="action")
            if elsewhere:
                message = (
                    f"`{key}` is not allowed in the phase `{phase}`, only in {listed(elsewhere)}; "
                    f"allowed here: {listed(ALLOWED[phase])}"
                )
            self._fault(place(path, key), message)

    def _action(self, path: str, name: str, given: Any) -> dict[str, Any]:
        """What the parameters mean, as far as they are fine; defaults are not filled in."""
        action, before = ACTIONS[name], len(self.faults)
        if not self._object(path, given):
            return {}
        self._keys(path, given, action.parameters, what="parameter")
        read = {
            key: self._value(place(path, key), given[key], parameter.kind)
            for key, parameter in action.parameters.items()
            if self._there(path, key, parameter, given)
        }
        if len(self.faults) == before and (message := action.fault(read)) is not None:
            self._fault(path, message)
        return read

    def _there(self, path: str, key: str, parameter: Parameter, given: Mapping[Any, Any]) -> bool:
        if key not in given and parameter.required:
            self._fault(path, f"`{key}` is missing; allowed: {parameter.kind.words}")
        return key in given

    def _value(self, path: str, value: Any, kind: Kind) -> Any:
        try:
            return kind.read(value)
        except ValueError:
            self._fault(path, f"found {shown(value)}; allowed: {kind.words}")
            return None

    def _object(self, path: str, value: Any) -> bool:
        if isinstance(value, Mapping):
            return True
        self._fault(path, f"found {shown(value)}; allowed: an object")
        return False

    def _keys(self, path: str, given: Mapping[Any, Any], known: Iterable[str], *, what: str = "key") -> None:
        known = tuple(known)
        for key in given:
            if key not in known:
                self._fault(place(path, key), unknown(key, known, what=what))

    def _json(self, path: str, value: Any, depth: int) -> None:
        """Anything that JSON can say, so deep at most: `_meta` is nobody's business but its writer's."""
        if depth == 0:
            self._fault(path, f"nested more than {META_DEPTH} deep; allowed: less")
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if isinstance(key, str) and encodable(key):
                    self._json(place(path, key), inner, depth - 1)
                else:
                    self._fault(place(path, key), f"found the key {shown(key)}; allowed: a string")
        elif isinstance(value, list | tuple):
            for number, inner in enumerate(value):
                self._json(f"{path}[{number}]", inner, depth - 1)
        elif not _plain(value):
            self._fault(path, f"found {shown(value)}; allowed: what JSON can say")

    def _fault(self, path: str, message: str) -> None:
        # Somebody's document may hold a million keys.
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(path, message))


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return -LONG_MAX <= value <= LONG_MAX
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool)
