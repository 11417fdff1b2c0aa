"""Whether the audit trail is as it was written: each row against its hash and the row before, each chain against its
head and against what other chains name. Pure; keeps 16 bytes of each row.

What can't be seen: rows that were removed, changed or added by somebody who then computed anew all hashes after them,
and the heads. Heads that were copied elsewhere in time show that too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from .rows import FIRST_PREVIOUS, OPENED, VOIDED, Head, HeadName, Void, hash_of

FINDINGS_MAX = 1_000
"""More than these are counted and not told."""

_KEPT_BYTES = 16
_UNKNOWN = bytes(_KEPT_BYTES)
# Clocks of several machines, and the moment between a roll-over and the first row after it.
_SLACK_MS = 60_000


class IndexFact(Struct, frozen=True):
    """An index behind the alias of the trail."""

    name: str
    created_at_ms: int


class Facts(Struct, frozen=True):
    """What rows are compared with. `heads` were read before the rows, `later_heads` after them.

    `retention_ms`: how long the policy keeps an index once it has rolled; None: for ever.
    """

    alias: str
    now_ms: int
    retention_ms: int | None
    indices: tuple[IndexFact, ...]
    heads: tuple[Head, ...]
    later_heads: tuple[Head, ...]


class Row(Struct, frozen=True, gc=False):
    """A row as it stands."""

    index: str
    id: str
    source: Mapping[str, Any]


class Finding(Struct, frozen=True, omit_defaults=True):
    """Something that can't be. `text` is a sentence that names it; the rest is what it is about, as far as known."""

    text: str
    index: str = ""
    id: str = ""
    writer: str = ""
    seq: int = 0


class Report(Struct):
    """`before_the_chain`: rows of a release that had no chains. `unconfirmed`: rows that were announced and not
    confirmed; they are newer than the heads, or their process died. `aged_chains`: those whose index went of age.
    `up_to`: when the newest row was accepted.
    """

    rows: int = 0
    chains: int = 0
    before_the_chain: int = 0
    unconfirmed: int = 0
    aged_chains: int = 0
    up_to: datetime | None = None
    findings: list[Finding] = field(default_factory=list)
    findings_in_all: int = 0

    def found(self, finding: Finding) -> None:
        self.findings_in_all += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


class _Link(Struct, gc=False):
    writer: str
    seq: int
    previous: str
    hash: str


class _Chain(Struct):
    """What was seen of one chain. `hashes` holds the beginning of each row's, by number; `gaps` what is missing."""

    index: str
    seq: int = 0
    hash: str = FIRST_PREVIOUS
    hashes: bytearray = field(default_factory=bytearray)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)

    def kept(self, seq: int) -> bytes:
        return bytes(self.hashes[(seq - 1) * _KEPT_BYTES : seq * _KEPT_BYTES])


class Verifier:
    """`add` all rows, then `finish`. Rows come by writer and number; those without a chain last."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._report = Report()
        self._chains: dict[str, _Chain] = {}
        self._voids: dict[tuple[str, int], str] = {}
        # What the rows that open chains say of others: how far they had come, by writer and number.
        self._named: dict[str, dict[int, tuple[HeadName, str]]] = {}
        self._heads = {head.writer: head for head in facts.heads}
        self._later = self._heads | {head.writer: head for head in facts.later_heads}
        # Chains without a head, with the number of their rows. Nothing that they say counts.
        self._headless: dict[str, tuple[str, int]] = {}
        self._first_opened: datetime | None = None
        self._first_index = 0
        self._earliest: dict[int, datetime] = {}
        self._unchained = False
        self._number = re.compile(rf"{re.escape(facts.alias)}-(\d+)")
        self._standing = {number for one in facts.indices if (number := self._number_of(one.name)) is not None}

    @property
    def rows(self) -> int:
        """How many were added."""
        return self._report.rows

    def add(self, row: Row) -> None:
        self._report.rows += 1
        at = _time_of(row.source)
        if at is not None and (self._report.up_to is None or at > self._report.up_to):
            self._report.up_to = at
        link = _link_of(row.source)
        if link is None:
            self._add_unchained(row, at)
            return
        if self._unchained:
            self._tell(row, link, "comes after rows without a chain: it was added, or the rows are not in order")
            return
        self._add_link(row, link, at)

    def finish(self) -> Report:
        """All that was found."""
        self._report.chains = len(self._chains)
        self._check_indices()
        for writer, (index, rows) in self._headless.items():
            text = f"the chain {writer} of {rows} rows in {index} has no head: they were added, or the head was removed"
            self._report.found(Finding(text, index, writer=writer))
        for writer, chain in self._chains.items():
            self._check_gaps(writer, chain)
            self._check_end(writer, chain)
        for head in self._heads.values():
            self._check_head(head)
        for named in self._named.values():
            for name, by in named.values():
                self._check_named(name, by)
        return self._report

    def _add_unchained(self, row: Row, at: datetime | None) -> None:
        if row.source.get("chain") is not None:
            text = f"row {row.id} in {row.index} has a chain that no trail writes: it was changed or added"
            self._report.found(Finding(text, row.index, row.id))
            return
        self._unchained = True
        number = self._number_of(row.index) or 0
        before = self._first_opened is None or (
            at is not None and at < self._first_opened and number <= self._first_index
        )
        if before:
            self._report.before_the_chain += 1
        else:
            text = f"row {row.id} in {row.index} belongs to no chain: it was added by other means"
            self._report.found(Finding(text, row.index, row.id))

    def _add_link(self, row: Row, link: _Link, at: datetime | None) -> None:
        head = self._later.get(link.writer)
        if head is None:
            index, rows = self._headless.get(link.writer, (row.index, 0))
            self._headless[link.writer] = (index, rows + 1)
            return
        if link.seq > head.announced:
            self._tell(row, link, f"is beyond row {head.announced}, up to which its head goes: it was added")
            return
        chain = self._chains.get(link.writer)
        if chain is None:
            chain = self._chains[link.writer] = _Chain(row.index)
        if link.seq <= chain.seq:
            self._tell(row, link, "stands a second time, or out of order: it was added")
            return
        if row.index != chain.index:
            self._tell(row, link, f"stands apart from its chain, which is in {chain.index}")
        genuine = hash_of(row.id, dict(row.source)) == link.hash
        if not genuine:
            self._tell(row, link, "was changed: its hash is another")
        if link.seq > chain.seq + 1:
            chain.gaps.append((chain.seq + 1, link.seq - 1, link.previous))
            chain.hashes += _UNKNOWN * (link.seq - 1 - chain.seq - 1) + _beginning(link.previous)
        elif link.previous != chain.hash:
            self._tell(row, link, f"does not follow row {chain.seq} as that stands: one of the two was replaced")
        chain.seq, chain.hash = link.seq, link.hash
        chain.hashes += _beginning(link.hash)
        self._hear(row, link, at, genuine)

    def _hear(self, row: Row, link: _Link, at: datetime | None, genuine: bool) -> None:
        """What the row says of chains."""
        number = self._number_of(row.index) or 0
        if at is not None and (number not in self._earliest or at < self._earliest[number]):
            self._earliest[number] = at
        action = _action_of(row.source)
        if (link.seq == 1) != (action == OPENED):
            self._tell(row, link, "is the first of its chain and opens none, or the other way round")
        if not genuine or action not in (OPENED, VOIDED):
            return
        try:
            if action == VOIDED:
                for void in msgspec.convert(row.source.get("details"), _Voids).voids:
                    self._voids[void.writer, void.seq] = void.hash
                return
            for name in msgspec.convert(row.source.get("details"), _Heads).heads:
                self._named.setdefault(name.writer, {}).setdefault(name.seq, (name, row.id))
        except msgspec.ValidationError:
            self._tell(row, link, "says what no trail writes: it was replaced")
        if at is not None and (self._first_opened is None or at < self._first_opened):
            self._first_opened, self._first_index = at, number

    def _check_gaps(self, writer: str, chain: _Chain) -> None:
        # Of what was not confirmed some rows may stand and others not.
        confirmed = self._heads[writer].seq if writer in self._heads else 0
        for first, last, hash in chain.gaps:
            missing = [seq for seq in range(first, min(last, confirmed) + 1) if (writer, seq) not in self._voids]
            if missing:
                self._found(f"{_rows(missing[0], missing[-1])} missing", chain, writer, missing[0])
            elif self._voids.get((writer, last), hash) != hash:
                self._found(f"row {last + 1} follows another row {last} than was void", chain, writer, last)

    def _check_end(self, writer: str, chain: _Chain) -> None:
        head = self._later[writer]
        if self._number_of(head.index) != self._number_of(chain.index):
            self._found(f"its head says that it stands in {head.index}", chain, writer)
        if chain.seq == head.announced and chain.hash != head.announced_hash:
            self._found(f"row {chain.seq} is not the one that its head announces", chain, writer, chain.seq)
        confirmed = self._heads[writer].seq if writer in self._heads else 0
        self._report.unconfirmed += max(0, chain.seq - confirmed)

    def _check_head(self, head: Head) -> None:
        chain = self._chains.get(head.writer)
        if chain is None:
            if self._is_aged(head.index):
                self._report.aged_chains += 1
            elif head.seq and not self._is_gone(head.index):
                text = f"the whole chain {head.writer} of {head.seq} rows is missing from {head.index}"
                self._report.found(Finding(text, head.index, writer=head.writer))
        elif chain.seq < head.seq:
            self._found(f"{_rows(chain.seq + 1, head.seq)} missing at its end", chain, head.writer, chain.seq + 1)
        elif head.seq and chain.kept(head.seq) not in (_beginning(head.hash), _UNKNOWN):
            self._found(f"row {head.seq} is not the one that its head confirms", chain, head.writer, head.seq)

    def _check_named(self, name: HeadName, by: str) -> None:
        chain = self._chains.get(name.writer)
        if chain is None:
            known = name.writer in self._heads and self._heads[name.writer].seq
            if not (known or self._is_aged(name.index) or self._is_gone(name.index)):
                text = f"the whole chain {name.writer}, of {name.seq} rows by {by}, is missing from {name.index}"
                self._report.found(Finding(text, name.index, writer=name.writer))
        elif chain.seq < name.seq:
            text = f"{_rows(chain.seq + 1, name.seq)} missing at its end, by what {by} names"
            self._found(text, chain, name.writer, chain.seq + 1)
        elif chain.kept(name.seq) not in (_beginning(name.hash), _UNKNOWN):
            self._found(f"row {name.seq} is not the one that {by} names", chain, name.writer, name.seq)

    def _check_indices(self) -> None:
        """Only the oldest indices may be gone, and not before their time."""
        mentioned = {head.index for head in self._facts.heads}
        mentioned |= {name.index for named in self._named.values() for name, _ in named.values()}
        numbers = {number for index in mentioned if (number := self._number_of(index)) is not None}
        lowest, highest = min(self._standing, default=1), max(self._standing | numbers, default=0)
        for number in range(lowest, highest + 1):
            if number not in self._standing:
                name = f"{self._facts.alias}-{number:06d}"
                self._report.found(Finding(f"the index {name} is gone, and it was not the oldest", name))
        if lowest > 1:
            self._check_age(lowest)

    def _check_age(self, lowest: int) -> None:
        """The youngest index that is gone was rolled over when the oldest that stands was made."""
        made = [one.created_at_ms for one in self._facts.indices if self._number_of(one.name) == lowest]
        earliest = self._earliest.get(lowest)
        if earliest is not None:
            made.append(int(earliest.timestamp() * 1_000))
        rolled_ms, retention_ms = min(made), self._facts.retention_ms
        if retention_ms is not None and self._facts.now_ms + _SLACK_MS >= rolled_ms + retention_ms:
            return
        name = f"{self._facts.alias}-{lowest - 1:06d}"
        due = "for ever" if retention_ms is None else f"until {_shown(rolled_ms + retention_ms)}"
        self._report.found(Finding(f"the index {name} is gone, and the policy keeps it {due}", name))

    def _is_gone(self, index: str) -> bool:
        """Whether it does not stand."""
        return self._number_of(index) not in self._standing

    def _is_aged(self, index: str) -> bool:
        """Whether it was older than the oldest that stands."""
        number = self._number_of(index)
        return number is not None and number < min(self._standing, default=1)

    def _number_of(self, index: str) -> int | None:
        """The index's number behind the alias, also under a name that a later phase gave it (`restored-...`)."""
        found = self._number.search(index)
        return None if found is None else int(found[1])

    def _tell(self, row: Row, link: _Link, what: str) -> None:
        text = f"row {row.id} in {row.index} ({link.writer}, number {link.seq}) {what}"
        self._report.found(Finding(text, row.index, row.id, link.writer, link.seq))

    def _found(self, what: str, chain: _Chain, writer: str, seq: int = 0) -> None:
        self._report.found(Finding(f"chain {writer} in {chain.index}: {what}", chain.index, "", writer, seq))


def verify(rows: Iterable[Row], facts: Facts) -> Report:
    """All rows at once."""
    verifier = Verifier(facts)
    for row in rows:
        verifier.add(row)
    return verifier.finish()


class _Voids(Struct):
    voids: Sequence[Void]


class _Heads(Struct):
    heads: Sequence[HeadName]


def _link_of(source: Mapping[str, Any]) -> _Link | None:
    try:
        return msgspec.convert(source.get("chain"), _Link)
    except msgspec.ValidationError:
        return None


def _action_of(source: Mapping[str, Any]) -> Any:
    event = source.get("event")
    return event.get("action") if isinstance(event, dict) else None


def _time_of(source: Mapping[str, Any]) -> datetime | None:
    try:
        return msgspec.convert(source.get("@timestamp"), datetime)
    except msgspec.ValidationError:
        return None


def _beginning(hash: str) -> bytes:
    """The part of a hash that is kept. One that is none is kept as what nothing equals."""
    try:
        return bytes.fromhex(hash)[:_KEPT_BYTES].ljust(_KEPT_BYTES, b"\1")
    except ValueError:
        return b"\1" * _KEPT_BYTES


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="seconds")
