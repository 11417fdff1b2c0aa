"""The backend that leaves the work to Elasticsearch's own index lifecycle management (ILM).

It tells ILM the policies, sees that every index of ours names its own, and reads how far each of them is. ILM runs on
the master, every ten minutes by default (`indices.lifecycle.poll_interval`); nothing depends on a scheduler running.

No server that has ILM was there to run this against: each request is checked against Elastic's published interface
(`tests/contract/test_managed.py`), and so are the answers that the tests give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..names import IndexNames
from ..policies import PHASES, Policy, PolicyInvalid, differences, parse
from ..requests import Requests
from ..schema import lifecycle_settings
from .asking import cluster_blocks, look, must, refusal
from .explained import Explained, explained
from .facts import FamilyFacts, IndexFacts
from .interface import BackendName, Done, IndexStatus
from .settled import allocation, missing
from .words import without_write_index

_NAME = "index.lifecycle.name"
_COPIES = ("index.auto_expand_replicas", "index.number_of_replicas")


class Managed:
    """Tells ILM the policies, and reads from it how far each index is."""

    name: BackendName = "ilm"
    run_on_a_server = False

    def __init__(self, requests: Requests, names: IndexNames) -> None:
        self._requests = requests
        self._names = names

    async def apply(self, policies: Mapping[str, Policy]) -> list[str]:
        """Put the policies that differ from what stands, and give them to indices that have none."""
        done = [*await self._put_policies(policies), *await self._put_settings(policies)]
        return [one.error or one.detail for one in done]

    async def pass_once(self, policies: Mapping[str, Policy], now_ms: int) -> list[Done]:
        """Repair what somebody has changed; what is due is ILM's own business."""
        done = [*await self._put_policies(policies), *await self._put_settings(policies)]
        return [*done, *await self._settle_copies(policies)]

    async def status(self, policies: Mapping[str, Policy], now_ms: int) -> list[IndexStatus]:
        found = await look(self._requests, self._names, policies)
        told = await self._explain(found.values())
        return [
            _status(family, index, explained(policy, index, told.get(index.index)))
            for family, policy in policies.items()
            for index in (*found[family].foreign, *found[family].indices)
        ]

    async def findings(self, policies: Mapping[str, Policy]) -> list[str]:
        mode = (await must(self._requests, "GET", "/_ilm/status")).get("operation_mode")
        found = await look(self._requests, self._names, policies)
        sentences = await cluster_blocks(self._requests)
        if mode != "RUNNING":
            sentences.append(f"ILM is {mode}, so no index of the cluster ages; POST /_ilm/start has it go on")
        for family in found.values():
            if family.write_index is None:
                sentences.append(without_write_index(family))
            sentences += [
                f"{index.index} has the policy {index.settings[_NAME]}, and not {family.alias}; where that is not "
                f"meant, take {_NAME} away and the next pass sets it"
                for index in family.indices
                if index.settings.get(_NAME, family.alias) != family.alias
            ]
        return sentences

    async def _put_policies(self, policies: Mapping[str, Policy]) -> list[Done]:
        done = []
        for family, policy in policies.items():
            name = self._names.rolled(family)
            path = f"/_ilm/policy/{name}"
            found = await must(self._requests, "GET", path, allow=(404,))
            stored = found.get(name, {}).get("policy")
            if _says(stored, policy):
                continue
            document = policy.document() | {"_meta": _meta(stored, policy)}
            # Without its policy no index of the family ages: told to whoever asked, not noted beside the rest.
            await must(self._requests, "PUT", path, {"policy": document})
            done.append(Done(family, "", "policy", f"the policy {name} was put"))
        return done

    async def _put_settings(self, policies: Mapping[str, Policy]) -> list[Done]:
        """Give the policy to every index of ours that has none. What somebody has given another one keeps it."""
        found = await look(self._requests, self._names, policies)
        lacking = [
            (facts, index)
            for facts in found.values()
            for index in facts.indices
            if index.settings.get(_NAME) in (None, facts.alias) and missing(index.settings, _managed_by(facts.alias))
        ]
        return [await self._set(facts.family, one.index, "policy", _managed_by(facts.alias)) for facts, one in lacking]

    async def _settle_copies(self, policies: Mapping[str, Policy]) -> list[Done]:
        """`allocate.number_of_replicas` has no effect where the number of copies follows that of nodes, as it does by
        our templates: ILM sets the one and leaves the other alone, so Elasticsearch changes it back at once.
        """
        counting = {family: policy for family, policy in policies.items() if _counts_copies(policy)}
        if not counting:
            return []
        found = await look(self._requests, self._names, counting)
        told = await self._explain(found.values())
        done = []
        for family, policy in counting.items():
            for index in found[family].indices:
                wanted = _copies(policy, explained(policy, index, told.get(index.index)))
                if missing(index.settings, wanted):
                    done.append(await self._set(family, index.index, "allocate", wanted))
        return done

    async def _explain(self, families: Iterable[FamilyFacts]) -> Mapping[str, Any]:
        """What ILM says of each index behind these aliases."""
        aliases = [family.alias for family in families if family.indices or family.foreign]
        if not aliases:
            return {}
        found = await must(self._requests, "GET", f"/{','.join(aliases)}/_ilm/explain")
        indices: Mapping[str, Any] = found.get("indices", {})
        return indices

    async def _set(self, family: str, index: str, action: str, settings: Mapping[str, str | None]) -> Done:
        path = f"/{index}/_settings"
        status, answer = await self._requests("PUT", path, dict(settings))
        given = ", ".join(f"{name}: {value}" for name, value in settings.items())
        if status >= 300 and status != 404:
            reason = refusal("PUT", path, status, answer)
            return Done(family, index, action, f"{index}: {action} was refused", error=reason)
        return Done(family, index, action, f"{index} was given {given}")


def _managed_by(alias: str) -> dict[str, str | None]:
    return {f"index.{name}": value for name, value in lifecycle_settings(alias).items()}


def _says(stored: Any, policy: Policy) -> bool:
    """Whether what stands says what it should. Elasticsearch answers with its defaults filled in."""
    if not isinstance(stored, Mapping):
        return False
    try:
        standing = parse(policy.family, {"phases": stored.get("phases")})
    except PolicyInvalid:
        return False
    return not differences(standing, Policy(policy.family, policy.phases)) and _meta(stored, policy) == stored.get(
        "_meta"
    )


def _meta(stored: Any, policy: Policy) -> dict[str, Any]:
    """What somebody has noted at the policy stays."""
    kept = (stored or {}).get("_meta") or {}
    return {**kept, **(policy.meta or {}), "leasehold": {"family": policy.family}}


def _counts_copies(policy: Policy) -> bool:
    return any("number_of_replicas" in policy.actions(phase).get("allocate", {}) for phase in PHASES)


def _copies(policy: Policy, found: Explained) -> dict[str, str | None]:
    """The number of copies that ILM has given the index, with what makes it hold."""
    wanted: dict[str, str | None] = {}
    for phase in PHASES:
        if found.has_done(phase, "allocate"):
            wanted |= allocation(policy.actions(phase)["allocate"])
    return {name: value for name, value in wanted.items() if name in _COPIES}


def _status(family: str, index: IndexFacts, found: Explained) -> IndexStatus:
    return IndexStatus(
        family=family,
        index=index.index,
        phase=found.phase,
        is_write_index=index.is_write_index,
        created_at_ms=index.created_at_ms,
        rolled_at_ms=index.rolled_at_ms,
        docs=index.docs,
        bytes=index.bytes,
        done=found.done,
        next_phase=found.next_phase,
        next_at_ms=found.next_at_ms,
        under_way=found.under_way,
        error=found.error,
    )
