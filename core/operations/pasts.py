"""The past of a live instance, for replays: what its owner holds in memory, and what of it has left for history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ..engine import Engine
from ..es.rows_by_id import ROWS_A_SEARCH, rows_by_id_body
from ..history_rows import instance_of_row
from ..lanes.memory.resident import Resident
from ..machine import AnyEvent, plain
from ..replay import Recording, Wanted, missing_outputs, restore
from ..replay.recording import decoded


class _Part(Struct):
    log: list[Raw]


class _StepOutput(Struct):
    output: str | None = None


class _StepRow(Struct):
    step: _StepOutput


_part = msgspec.json.Decoder(_Part)
_step_row = msgspec.json.Decoder(_StepRow)


class Past(Struct, frozen=True):
    """What of an instance's past only history knew, as it was when `log_parts` parts of its log had left.

    `wanted` are the results that were looked for, `outputs` those that were found.
    """

    log_parts: int
    log: list[Raw]
    wanted: frozenset[Wanted]
    outputs: dict[Wanted, Any]


class Pasts:
    """Reads history; what memory holds is taken when the recording is made, so nothing that happens is missed."""

    def __init__(self, engine: Engine) -> None:
        self._store = engine.store
        self._names = engine.names

    async def read(self, resident: Resident) -> Past:
        """What history knows, which may be out of date as soon as something happens. Raises: StoreError."""
        log_parts = resident.log_parts
        log = await self._log(resident.id, log_parts) if log_parts else []
        wanted = missing_outputs(resident.instance, _events(log, resident))
        return Past(log_parts, log, frozenset(wanted), await self._outputs(resident.id, wanted))

    def recording(self, resident: Resident, past: Past) -> Recording | None:
        """The recording of the instance as it is at this moment; None when more has left memory since the reading."""
        if resident.log_parts != past.log_parts:
            return None
        events = _events(past.log, resident)
        if not past.wanted.issuperset(missing_outputs(resident.instance, events)):
            return None
        return restore(resident.instance, events, past.outputs)

    async def _log(self, instance_id: str, parts: int) -> list[Raw]:
        rows = await self._rows(self._names.events, [f"{instance_id}:events:{part}" for part in range(1, parts + 1)])
        return [entry for row in rows if row is not None for entry in _part.decode(row).log]

    async def _outputs(self, instance_id: str, wanted: Sequence[Wanted]) -> dict[Wanted, Any]:
        attempts = [one for one in wanted if not one.child]
        children = [one for one in wanted if one.child]
        rows = await self._rows(self._names.steps, [f"{instance_id}:{one.path}:{one.attempt}" for one in attempts])
        outputs = {one: _output(row) for one, row in zip(attempts, rows, strict=True) if row is not None}
        ends = await self._rows(self._names.instances, [one.child for one in children])
        for one, row in zip(children, ends, strict=True):
            if row is not None:
                outputs[one] = plain(instance_of_row(row).outputs)
        return outputs

    async def _rows(self, alias: str, ids: Sequence[str]) -> list[bytes | None]:
        """The rows, in order; None for one that history does not have."""
        if not ids:
            return []
        await self._store.refresh(alias)
        found: dict[str, bytes] = {}
        for start in range(0, len(ids), ROWS_A_SEARCH):
            page = await self._store.search(alias, rows_by_id_body(ids[start : start + ROWS_A_SEARCH]))
            found.update((hit.id, hit.source) for hit in page.hits)
        return [found.get(id) for id in ids]


def _events(log: Sequence[Raw], resident: Resident) -> list[AnyEvent]:
    return decoded([*log, *resident.log])


def _output(row: bytes) -> Any:
    output = _step_row.decode(row).step.output
    return None if output is None else msgspec.json.decode(output)
