"""What a workflow remembers from run to run: `memory`, one document a key in `workflow-keys`.

A run is given it when it starts (a queued one when it is admitted), and the instance keeps what it was given. When the
run succeeds, what it remembered goes over that through its outbox: into one document, under a version that only grows,
so a delivery that is repeated, or comes late from an older run, changes nothing newer.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..machine.state import Instance, InstanceStatus, plain
from ..ports import Store
from ..principal import DEFAULT_SPACE, realm_of
from . import codec

if TYPE_CHECKING:
    from .lane import Lane
    from .memory.resident import Resident


class MemoryName(Struct, frozen=True):
    """Runs of one tenant, space and workflow whose `memory.key` renders to the same text share a memory."""

    tenant: str
    workflow: str
    key: str
    space: str = DEFAULT_SPACE

    @property
    def id(self) -> str:
        """The document's: none that an idempotency key can have."""
        names = f"{realm_of(self.tenant, self.space)}\0{self.workflow}\0{self.key}"
        return f"memory-{sha256(names.encode()).hexdigest()}"


class Recalled(Struct, frozen=True):
    """What a run is given, and when the run ended that left it; 0 for the first run."""

    value: dict[str, Any] = {}
    at_ms: int = 0


class MemoryDocument(Struct, frozen=True, kw_only=True):
    """`at_ms` is also the document's version."""

    kind: str = "memory"
    tenant: str
    space: str = DEFAULT_SPACE
    workflow: str
    key: str
    value: dict[str, Any]
    instance_id: str
    at_ms: int


def name_of(instance: Instance) -> MemoryName | None:
    """The memory that an instance is given and leaves; None for one without."""
    if instance.memory_key is None or instance.items is not None:
        return None
    return MemoryName(instance.tenant, instance.workflow, instance.memory_key, instance.space)


def left_at_ms(instance: Instance) -> int:
    """The version of what a run leaves: above that of what it was given, whatever the clocks say."""
    return max(instance.finished_at_ms, instance.memory_at_ms + 1)


def left_value(instance: Instance) -> dict[str, Any]:
    """What the next run is given."""
    return {**(plain(instance.memory) or {}), **instance.remembered}


def memory_row(instance: Instance) -> bytes:
    """The document that a run leaves."""
    name = name_of(instance)
    assert name is not None
    document = MemoryDocument(
        tenant=name.tenant,
        space=name.space,
        workflow=name.workflow,
        key=name.key,
        value=left_value(instance),
        instance_id=instance.id,
        at_ms=left_at_ms(instance),
    )
    return codec.encode_json(document)


def leaves_memory(instance: Instance) -> bool:
    """Only a run that has succeeded changes what the next one is given."""
    return bool(instance.remembered) and instance.status is InstanceStatus.SUCCEEDED and name_of(instance) is not None


class Remembering:
    """One lane's: what its runs have left and is not delivered yet, so that the next run here is given it all the same.

    Runs in other lanes are given what is delivered; a concurrency group keeps all of them in one lane.
    """

    def __init__(self, store: Store, index: str) -> None:
        self._store = store
        self._index = index
        self._left: dict[str, tuple[str, Recalled]] = {}

    def left(self, instance: Instance) -> None:
        """A run has ended, and its delivery is under way."""
        name = name_of(instance)
        if name is not None:
            known = self._left.get(name.id)
            if known is None or known[1].at_ms <= left_at_ms(instance):
                self._left[name.id] = instance.id, Recalled(left_value(instance), left_at_ms(instance))

    def delivered(self, instance: Instance) -> None:
        """The document holds what the run left, or something newer."""
        name = name_of(instance)
        if name is not None and self._left.get(name.id, ("",))[0] == instance.id:
            del self._left[name.id]

    async def recall(self, name: MemoryName) -> Recalled:
        """What a run that starts now is given. Raises: StoreError."""
        before = self._left.get(name.id)
        found = await self._store.get(self._index, name.id)
        stored = Recalled()
        if found is not None:
            document = msgspec.json.decode(found.source, type=MemoryDocument)
            stored = Recalled(document.value, document.at_ms)
        known = [one[1] for one in (before, self._left.get(name.id)) if one is not None]
        return max([stored, *known], key=lambda one: one.at_ms)


def give(lane: Lane, resident: Resident, recalled: Recalled) -> None:
    """Let an instance that has not begun see this as `memory`; a large one is a side document."""
    encoded = codec.encode_json(recalled.value)
    value, side = lane.side_value(resident.id, "memory", recalled.value, encoded)
    reference = None if side is None else side[0]
    resident.instance = replace(resident.instance, memory=value, memory_ref=reference, memory_at_ms=recalled.at_ms)
    if side is not None:
        resident.side_writes += (side,)
