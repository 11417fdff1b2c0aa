"""One single-shard index of the model of Elasticsearch: versions, sequence numbers, and what a refresh made visible."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from leasehold.core.errors import StoreRejected
from leasehold.core.ports import BulkItem, Version

from .model_documents import Malformed, Values, index_values, parse

CONFLICT = "version_conflict_engine_exception"


class Bell:
    """Wakes whoever waits, each time it rings."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        await woken

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            if not woken.done():
                woken.set_result(None)


@dataclass(frozen=True, slots=True)
class Operation:
    """One item of a bulk. `index` is as the request named it; `source` is None for a delete."""

    action: Literal["create", "index", "delete"]
    index: str
    id: str
    source: bytes | None = None
    if_version: Version | None = None
    external_gte: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document at one version. `version` is Elasticsearch's `_version`, which a fence sets from outside."""

    id: str
    source: bytes
    seq_no: int
    primary_term: int
    version: int
    values: Values = field(compare=False, repr=False)

    @property
    def at(self) -> Version:
        return Version(self.seq_no, self.primary_term)


class ModelIndex:
    """The primary of one shard.

    `documents` is what a realtime GET sees, `visible` what a search sees: the state at the last refresh. A refresh
    happens when asked for, and every `refresh_interval_ms` of the given clock where that is set.
    """

    def __init__(
        self,
        name: str,
        uuid: str,
        mapping: Mapping[str, Any],
        *,
        refresh_interval_ms: int | None,
        now_ms: Callable[[], int],
    ) -> None:
        self.name = name
        self.uuid = uuid
        self.mapping = mapping
        self.primary_term = 1
        self.max_seq_no = -1
        self._held_checkpoint: int | None = None
        self._removed = False
        self._moved = Bell()
        self.write_blocked = False
        # Flat settings, all text; when it was rolled over from, by alias.
        self.settings: dict[str, str] = {}
        self.rolled_over: dict[str, int] = {}
        self.segments = 0
        self._refreshed_to = -1
        self.documents: dict[str, Document] = {}
        self.visible: tuple[Document, ...] = ()
        self._tombstones: dict[str, int] = {}
        self.refresh_interval_ms = refresh_interval_ms
        self._now_ms = now_ms
        self._refreshed_at_ms = now_ms()

    @property
    def global_checkpoint(self) -> int:
        """What every copy has. `held_checkpoint` keeps it back, as a slow copy would."""
        return self.max_seq_no if self._held_checkpoint is None else min(self._held_checkpoint, self.max_seq_no)

    @property
    def held_checkpoint(self) -> int | None:
        return self._held_checkpoint

    @held_checkpoint.setter
    def held_checkpoint(self, checkpoint: int | None) -> None:
        self._held_checkpoint = checkpoint
        self._moved.ring()

    async def passes(self, checkpoint: int) -> int:
        """Returns the global checkpoint once it is above this one. Raises: StoreRejected(404) once removed."""
        while self.global_checkpoint <= checkpoint:
            await self._moved.wait()
            if self._removed:
                raise StoreRejected(f"CurrentState[CLOSED] [{self.name}]", 404, "index_shard_closed_exception")
        return self.global_checkpoint

    def remove(self) -> None:
        self._removed = True
        self._moved.ring()

    def pass_time(self) -> None:
        """Let a refresh that fell due since the last look have happened, before anything else does."""
        interval_ms = self.refresh_interval_ms
        if interval_ms is None:
            return
        due = (self._now_ms() - self._refreshed_at_ms) // interval_ms
        if due:
            self._refreshed_at_ms += due * interval_ms
            self.refresh()

    def refresh(self) -> None:
        self.segments += self._refreshed_to < self.max_seq_no
        self._refreshed_to = self.max_seq_no
        self.visible = tuple(sorted(self.documents.values(), key=lambda document: document.seq_no))

    def merge(self, most: int) -> None:
        """Merge to at most so many segments; what is merged is refreshed and flushed before."""
        self.refresh()
        self.segments = min(self.segments, most)

    def change_primary(self) -> None:
        """A new primary is elected: its term rises; nothing is lost."""
        self.primary_term += 1

    def apply(self, operation: Operation) -> BulkItem:
        """One item of a bulk, as the primary answers it."""
        if self.write_blocked:
            reason = f"index [{self.name}] blocked by: [FORBIDDEN/8/index write (api)];"
            return self._failed(operation, 403, "cluster_block_exception", reason)
        if not operation.id:
            reason = "if _id is specified it must not be empty"
            return self._failed(operation, 400, "illegal_argument_exception", reason)
        if operation.source is None:
            return self._delete(operation)
        try:
            values = index_values(parse(operation.source), self.mapping)
        except Malformed as error:
            return self._failed(operation, 400, "document_parsing_exception", str(error))
        conflict = self._conflict(operation)
        if conflict is not None:
            return self._failed(operation, 409, CONFLICT, f"[{operation.id}]: version conflict, {conflict}")
        existed = operation.id in self.documents
        version = self._next_version(operation)
        written = Document(operation.id, operation.source, self._take_seq_no(), self.primary_term, version, values)
        self.documents[operation.id] = written
        self._tombstones.pop(operation.id, None)
        return BulkItem(200 if existed else 201, self.name, operation.id, written.at)

    def _delete(self, operation: Operation) -> BulkItem:
        conflict = self._conflict(operation)
        if conflict is not None:
            return self._failed(operation, 409, CONFLICT, f"[{operation.id}]: version conflict, {conflict}")
        self._tombstones[operation.id] = self._next_version(operation)
        found = self.documents.pop(operation.id, None)
        # A delete that finds nothing is an operation all the same, and takes a number.
        at = Version(self._take_seq_no(), self.primary_term)
        return BulkItem(404 if found is None else 200, self.name, operation.id, at)

    def _conflict(self, operation: Operation) -> str | None:
        current = self.documents.get(operation.id)
        wanted = operation.if_version
        if operation.action == "create" and current is not None:
            return f"document already exists (current version [{current.version}])"
        if wanted is not None and current is None:
            return f"required seqNo [{wanted.seq_no}], primary term [{wanted.primary_term}]. but no document was found"
        if wanted is not None and current is not None and current.at != wanted:
            return f"required seqNo [{wanted.seq_no}], primary term [{wanted.primary_term}]. current {current.at}"
        known = self._known_version(operation.id)
        if operation.external_gte is not None and known > operation.external_gte:
            return f"current version [{known}] is higher than the one provided [{operation.external_gte}]"
        return None

    def _known_version(self, id: str) -> int:
        current = self.documents.get(id)
        return current.version if current is not None else self._tombstones.get(id, 0)

    def _next_version(self, operation: Operation) -> int:
        if operation.external_gte is not None:
            return operation.external_gte
        return self._known_version(operation.id) + 1

    def _take_seq_no(self) -> int:
        self.max_seq_no += 1
        self._moved.ring()
        return self.max_seq_no

    def _failed(self, operation: Operation, status: int, error_type: str, reason: str) -> BulkItem:
        return BulkItem(status, self.name, operation.id, None, error_type, reason)
