"""A small trail as three processes wrote it over three indices, and what a forger may do to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from leasehold.core.audit.chain import Chain, Entry
from leasehold.core.audit.rows import Head, HeadName, open_row, own_row_id, void_row
from leasehold.core.audit.verify import Facts, IndexFact, Report, Row, verify

ALIAS = "workflow-audit"
T0_MS = 1_800_000_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def index(number: int) -> str:
    return f"{ALIAS}-{number:06d}"


@dataclass(frozen=True)
class History:
    """`rows` in the order in which verify takes them."""

    rows: tuple[Row, ...] = ()
    heads: tuple[Head, ...] = ()
    indices: tuple[IndexFact, ...] = ()
    retention_ms: int | None = 30 * DAY_MS
    now_ms: int = T0_MS + 2 * DAY_MS

    def report(self) -> Report:
        facts = Facts(ALIAS, self.now_ms, self.retention_ms, self.indices, self.heads, self.heads)
        return verify(self.rows, facts)

    def with_rows(self, rows: list[Row]) -> History:
        def place(row: Row) -> tuple[bool, str, int]:
            chain = row.source.get("chain") or {}
            return ("writer" not in chain, chain.get("writer", ""), chain.get("seq", 10**18))

        return replace(self, rows=tuple(sorted(rows, key=place)))


@dataclass
class Scribe:
    """Writes as the trail does, in time that goes on with each row."""

    rows: list[Row] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    now_ms: int = T0_MS

    def open(self, writer: str, number: int) -> Chain:
        heads = [HeadName(one.writer, one.index, *one.confirmed) for one in self.chains]
        chain = Chain(writer, index(number), self.now_ms)
        self.chains.append(chain)
        self._put(chain, open_row(replica_id="r", index=chain.index, heads=heads, now_ms=self.now_ms), "")
        return chain

    def write(self, chain: Chain, count: int = 1, *, void: bool = False) -> None:
        for _ in range(count):
            self.now_ms += 1_000
            row = {
                "@timestamp": datetime.fromtimestamp(self.now_ms / 1_000, UTC),
                "event": {"action": "cancel", "outcome": "success"},
                "user": {"name": "alice"},
                "tenant": "acme",
                "space": "default",
                "details": {"n": self.now_ms, "of": "chain", "ratio": 0.1, "wörter": ["ß", None, True]},
            }
            self._put(chain, msgspec.json.encode(row), f"order:{self.now_ms}", void=void)
        if void:
            self._put(chain, void_row(replica_id="r", voids=chain.voids, now_ms=self.now_ms), "")
            chain.voids = []

    def _put(self, chain: Chain, row: bytes, id: str, *, void: bool = False) -> None:
        sealed = chain.number(Entry(id or own_row_id(chain.writer, chain.seq + 1), row, None))
        if void:
            chain.void(sealed, "refused")
        else:
            chain.stands(sealed)
            self.rows.append(Row(chain.index, sealed.id, msgspec.json.decode(sealed.source)))
            chain.confirmed = chain.announced = (chain.seq, chain.hash)

    def history(self, *, unconfirmed: int = 0) -> History:
        """All of it; the last rows of the last chain are announced and not confirmed."""
        heads = []
        for chain in self.chains:
            seq, hash = chain.confirmed
            if chain is self.chains[-1] and unconfirmed:
                own = [row for row in self.rows if row.source["chain"]["writer"] == chain.writer]
                seq -= unconfirmed
                hash = own[-1 - unconfirmed].source["chain"]["hash"]
            heads.append(Head(chain.writer, chain.index, self.now_ms, chain.created_at_ms, seq, hash, *chain.announced))
        made: dict[str, int] = {}
        for one in self.chains:
            made.setdefault(one.index, one.created_at_ms)
        indices = tuple(IndexFact(name, at_ms) for name, at_ms in sorted(made.items()))
        return History(heads=tuple(heads), indices=indices, now_ms=self.now_ms + HOUR_MS).with_rows(self.rows)


def history(*, unconfirmed: int = 0) -> History:
    """Three processes, three indices, five chains; a number that is void, and one of an index that took no more."""
    scribe = Scribe()
    first = scribe.open("a-1.1", 1)
    scribe.write(first, 4)
    other = scribe.open("b-1.1", 1)
    scribe.write(other, 2)
    scribe.write(first, void=True)
    scribe.write(first, 2)
    scribe.now_ms += DAY_MS
    second = scribe.open("a-1.2", 2)
    scribe.write(second, 3)
    scribe.write(other, 2)
    scribe.now_ms += DAY_MS
    third = scribe.open("b-1.2", 3)
    scribe.write(third, 2)
    last = scribe.open("c-1.1", 3)
    scribe.write(last, 3)
    return scribe.history(unconfirmed=unconfirmed)


def forged(row: Row, **changes: Any) -> Row:
    return Row(row.index, row.id, {**row.source, **changes})
