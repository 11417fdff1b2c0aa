"""Who started what, in the same bulk as the instances: one small document for all starts of a group write.

From it the rows of the audit trail are made, after the acknowledgement; a start is answered only when its entry stands
too, so a crash in between loses none: the next owner finds the entry. A document for each bulk, not one for each start,
since a start costs one write.

Entries stand in *slots*. A slot is written over by a later entry once the rows of the one in it stand, so that a busy
lane needs no deletions; a lane that has become quiet deletes its slots. An entry of a bulk whose outcome is unknown may
stand or not: its slot is left alone for good, since a late write could overwrite what came later, and its instances are
in an entry of the bulk that writes them again. The next owner looks into all slots (`lanes.start_trail`), and once more
when the safety net has found that an earlier owner's bulk landed late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ...es.lines import delete_line, put_line
from ...ports import Version
from ...principal import Principal

if TYPE_CHECKING:
    from .drafts import Write


class StartedGroup(Struct, frozen=True, omit_defaults=True, gc=False):
    """Instances of one version that one principal started."""

    by: str
    tenant: str
    space: str
    workflow: str
    version: int
    ids: list[str]
    roles: tuple[str, ...] = ()
    address: str = ""


class StartEntry(Struct, frozen=True, tag_field="kind", tag="starts", gc=False):
    """One entry as its slot holds it. `id` is never used again, unlike the slot's, and by no other lane.

    `index` is the concrete index of the trail where whoever makes its rows begins to look for a place for them; empty
    in entries of releases that named none.
    """

    id: str
    writer: str
    epoch: int
    at_ms: int
    groups: list[StartedGroup]
    index: str = ""


class Journaled(Struct, eq=False, gc=False):
    """What one bulk holds of the journal: its lines, and what is to be known when they are answered.

    `entry` is None for a bulk that deletes slots; those of earlier owners, with their versions, come last.
    """

    slots: Sequence[str]
    lines: Sequence[bytes]
    entry: StartEntry | None = None
    adopted: Sequence[tuple[str, Version]] = ()


class StartJournal:
    """One owner's, of one lane. `free` are slots that stand in the lane and are done with."""

    def __init__(self, *, lane: str, epoch: int, writer: str, trail_index: Callable[[], str]) -> None:
        self._trail_index = trail_index
        self._lane = lane
        self._epoch = epoch
        self._writer = writer
        self._entries = 0
        self._slots = 0
        self._free: list[str] = []
        self._taken = 0
        # Slots of earlier owners that are done with. They are never written to: a late bulk of theirs may still put an
        # entry there, which goes with no deletion of what stood there before.
        self._adopted: dict[str, Version] = {}

    def entry_for(self, writes: Sequence[Write], now_ms: int) -> Journaled | None:
        """The entry of those of these writes that are somebody's start and in no acknowledged entry yet."""
        groups: dict[tuple[Principal, str, int], list[str]] = {}
        for write in writes:
            resident = write.resident
            if resident.started_by is not None:
                instance = resident.instance
                key = (resident.started_by, instance.workflow, instance.version)
                groups.setdefault(key, []).append(resident.id)
        if not groups:
            return None
        self._entries += 1
        entry = StartEntry(
            # A replica's lanes may have the same epoch, and their rows meet in one index.
            f"starts:{self._lane}:{self._writer}:{self._epoch}:{self._entries}",
            self._writer,
            self._epoch,
            now_ms,
            [_group(by, workflow, version, ids) for (by, workflow, version), ids in groups.items()],
            self._trail_index(),
        )
        slot = self._free.pop() if self._free else self._new_slot()
        self._taken += 1
        return Journaled((slot,), (put_line(slot), msgspec.json.encode(entry)), entry)

    def sweep(self) -> Journaled | None:
        """The deletion of all slots, while no entry waits for its rows; None where there is nothing to delete."""
        if not self.quiet:
            return None
        slots, self._free = self._free, []
        adopted, self._adopted = list(self._adopted.items()), {}
        lines = [delete_line(slot) for slot in slots]
        lines += [delete_line(slot, at.seq_no, at.primary_term) for slot, at in adopted]
        return Journaled(slots, lines, None, adopted)

    @property
    def quiet(self) -> bool:
        """Whether there are slots, and none of them is needed."""
        return bool(self._free or self._adopted) and not self._taken

    def untouched(self, journaled: Journaled) -> None:
        """Nothing of the bulk was applied. A slot that does not stand is as good as one that does."""
        if journaled.entry is not None:
            self._taken -= 1
        self._free.extend(journaled.slots)
        self._adopted.update(journaled.adopted)

    def doubtful(self, journaled: Journaled) -> None:
        """What became of the bulk is not known: its slots are not used again."""
        if journaled.entry is not None:
            self._taken -= 1

    def done(self, slot: str) -> None:
        """The rows of the entry in it stand."""
        self._taken -= 1
        self._free.append(slot)

    def adopt(self, slot: str, at: Version) -> None:
        """A slot of an earlier owner's is done with as it stands, and is deleted with the next sweep."""
        self._adopted[slot] = at

    def _new_slot(self) -> str:
        self._slots += 1
        return f"starts:{self._epoch}:{self._slots}"


def _group(by: Principal, workflow: str, version: int, ids: list[str]) -> StartedGroup:
    return StartedGroup(by.name, by.tenant, by.space, workflow, version, ids, by.roles, by.address)
