"""What `verify` sees of a trail that was tampered with, and what it lets pass of one that was not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.audit.rows import Head, hash_of
from leasehold.core.audit.verify import Facts, IndexFact, Report, Row, Verifier

from .forging import ALIAS, DAY_MS, History, Scribe, forged, history, index

WHOLE = history()
ROWS = list(WHOLE.rows)
PLACES = range(len(ROWS))
OLDEST = 1


def texts(report: Report) -> list[str]:
    return [finding.text for finding in report.findings]


def aged(whole: History, below: int, now_ms: int) -> History:
    """The indices below that number are gone, as the policy wants."""
    rows = [row for row in whole.rows if row.index >= index(below)]
    standing = tuple(one for one in whole.indices if one.name >= index(below))
    return replace(whole, indices=standing, now_ms=now_ms).with_rows(rows)


def test_a_trail_as_it_was_written_has_no_findings() -> None:
    report = WHOLE.report()
    assert texts(report) == []
    assert (report.rows, report.chains, report.unconfirmed, report.before_the_chain) == (len(ROWS), 5, 0, 0)
    assert report.up_to is not None
    assert report.up_to.isoformat() == max(row.source["@timestamp"] for row in ROWS).replace("Z", "+00:00")


@pytest.mark.parametrize("at", PLACES)
def test_each_row_that_is_removed_shows(at: int) -> None:
    assert texts(WHOLE.with_rows(ROWS[:at] + ROWS[at + 1 :]).report())


@pytest.mark.parametrize("change", ["user", "event", "details", "@timestamp", "tenant"])
@pytest.mark.parametrize("at", PLACES)
def test_each_row_that_is_changed_shows(at: int, change: str) -> None:
    row = forged(ROWS[at], **{change: {"name": "mallory"} if change == "user" else "2027-01-01T00:00:00Z"})
    (finding, *_) = WHOLE.with_rows([*ROWS[:at], row, *ROWS[at + 1 :]]).report().findings
    assert finding.id == row.id
    assert "was changed" in finding.text


@pytest.mark.parametrize("at", PLACES)
def test_a_row_that_is_changed_together_with_its_own_hash_shows(at: int) -> None:
    source: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(ROWS[at].source))
    source["user"] = {"name": "mallory"}
    source["chain"]["hash"] = hash_of(ROWS[at].id, source)
    row = Row(ROWS[at].index, ROWS[at].id, source)
    assert texts(WHOLE.with_rows([*ROWS[:at], row, *ROWS[at + 1 :]]).report())


@pytest.mark.parametrize("at", PLACES[1:])
def test_two_rows_that_change_their_ids_or_their_contents_show(at: int) -> None:
    left, right = ROWS[at - 1], ROWS[at]
    renamed = [Row(left.index, right.id, left.source), Row(right.index, left.id, right.source)]
    assert texts(WHOLE.with_rows([*ROWS[: at - 1], *renamed, *ROWS[at + 1 :]]).report())
    swapped = [
        forged(left, **{name: value for name, value in right.source.items() if name != "chain"}),
        forged(right, **{name: value for name, value in left.source.items() if name != "chain"}),
    ]
    assert texts(WHOLE.with_rows([*ROWS[: at - 1], *swapped, *ROWS[at + 1 :]]).report())


@pytest.mark.parametrize("at", PLACES)
def test_a_row_that_is_added_shows_however_well_it_is_made(at: int) -> None:
    chain = ROWS[at].source["chain"]
    for seq in (chain["seq"], chain["seq"] + 1, 10**12):
        source = {**ROWS[at].source, "chain": {**chain, "seq": seq, "previous": chain["hash"]}}
        source["chain"]["hash"] = hash_of("added", source)
        assert texts(WHOLE.with_rows([*ROWS, Row(ROWS[at].index, "added", source)]).report())


def test_a_row_without_a_chain_shows_unless_it_is_older_than_the_first_chain() -> None:
    bare = {name: value for name, value in ROWS[0].source.items() if name != "chain"}
    old = Row(index(1), "old", {**bare, "@timestamp": "2020-01-01T00:00:00Z"})
    report = WHOLE.with_rows([*ROWS, old]).report()
    assert texts(report) == []
    assert report.before_the_chain == 1
    late = Row(index(1), "late", {**bare, "@timestamp": "2030-01-01T00:00:00Z"})
    elsewhere = Row(index(3), "elsewhere", old.source)
    broken = Row(index(1), "broken", {**bare, "chain": {"writer": "a-1.1"}, "@timestamp": "2030-01-01T00:00:00Z"})
    for row in (late, elsewhere, broken):
        assert [finding.id for finding in WHOLE.with_rows([*ROWS, row]).report().findings] == [row.id]


def test_a_trail_of_a_release_that_had_no_chains_has_no_findings() -> None:
    rows = [Row(index(1), row.id, {"@timestamp": row.source["@timestamp"]}) for row in ROWS]
    report = History(rows=tuple(rows), indices=(IndexFact(index(1), 0),)).report()
    assert texts(report) == []
    assert report.before_the_chain == len(ROWS)


@pytest.mark.parametrize("keep", range(4))
def test_a_tail_that_is_removed_shows(keep: int) -> None:
    last = [row for row in ROWS if row.source["chain"]["writer"] == "c-1.1"]
    report = WHOLE.with_rows([row for row in ROWS if row not in last[keep:]]).report()
    assert any("whole chain" in text if keep == 0 else "missing at its end" in text for text in texts(report))


@pytest.mark.parametrize("writer", ["a-1.1", "b-1.1", "a-1.2", "b-1.2"])
def test_a_whole_chain_that_is_removed_with_its_head_shows_by_what_others_name(writer: str) -> None:
    rows = [row for row in ROWS if row.source["chain"]["writer"] != writer]
    heads = tuple(head for head in WHOLE.heads if head.writer != writer)
    (text, *_) = texts(replace(WHOLE, heads=heads).with_rows(rows).report())
    assert f"the whole chain {writer}" in text
    assert texts(WHOLE.with_rows(rows).report()), "and with its head left alone by that"


def test_a_head_that_is_removed_or_set_back_shows() -> None:
    for head in WHOLE.heads:
        others = tuple(one for one in WHOLE.heads if one is not head)
        assert texts(replace(WHOLE, heads=others).report())
        back = msgspec.structs.replace(head, seq=1, hash="00", announced=1, announced_hash="00")
        assert texts(replace(WHOLE, heads=(*others, back)).report())


def test_a_chain_that_is_added_shows() -> None:
    stranger = Scribe()
    stranger.write(stranger.open("mallory-1.1", 3), 3)
    report = WHOLE.with_rows([*ROWS, *stranger.rows]).report()
    assert [finding.writer for finding in report.findings] == ["mallory-1.1"]


def test_a_void_does_not_excuse_a_row_that_a_stranger_says_is_void() -> None:
    """The row that says so has to be a link of a chain itself."""
    stranger = Scribe()
    chain = stranger.open("mallory-1.1", 1)
    taken = next(row for row in ROWS if row.source["chain"] == {**row.source["chain"], "writer": "a-1.1", "seq": 3})
    void = {"writer": "a-1.1", "seq": 3, "hash": taken.source["chain"]["hash"], "id": taken.id, "reason": "x"}
    stranger.write(chain)
    row = forged(stranger.rows[-1], event={"action": "audit.void"}, details={"voids": [void]})
    report = WHOLE.with_rows([*(one for one in ROWS if one is not taken), row]).report()
    assert any("row 3 is missing" in text for text in texts(report))


def test_a_head_that_confirms_another_row_shows_though_more_rows_were_announced() -> None:
    whole = history(unconfirmed=2)
    last = next(head for head in whole.heads if head.seq < head.announced)
    wrong = msgspec.structs.replace(last, hash="00" * 32)
    (text,) = texts(replace(whole, heads=tuple(wrong if head is last else head for head in whole.heads)).report())
    assert "is not the one that its head confirms" in text


def test_an_index_that_went_of_age_takes_its_chains_along_and_nothing_shows() -> None:
    for below in (2, 3):
        rolled_ms = next(one.created_at_ms for one in WHOLE.indices if one.name == index(below))
        report = aged(WHOLE, below, rolled_ms + 30 * DAY_MS).report()
        assert texts(report) == []
        assert report.aged_chains == {2: 2, 3: 3}[below]


def test_an_index_that_is_gone_before_its_time_shows() -> None:
    rolled_ms = WHOLE.indices[1].created_at_ms
    early = aged(WHOLE, 2, rolled_ms + 29 * DAY_MS)
    (text,) = texts(early.report())
    assert text.startswith("the index workflow-audit-000001 is gone, and the policy keeps it until ")
    (text,) = texts(replace(early, now_ms=rolled_ms + 900 * DAY_MS, retention_ms=None).report())
    assert text.endswith("keeps it for ever")


@pytest.mark.parametrize("number", [2, 3])
def test_an_index_that_is_gone_while_an_older_one_stands_shows(number: int) -> None:
    rows = [row for row in ROWS if row.index != index(number)]
    indices = tuple(one for one in WHOLE.indices if one.name != index(number))
    report = replace(WHOLE, indices=indices).with_rows(rows).report()
    assert any(f"the index {index(number)} is gone" in text for text in texts(report))


def test_an_index_that_a_later_phase_renamed_is_the_same() -> None:
    rename = {index(1): f"restored-{index(1)}", index(2): f"shrink-a1b2-{index(2)}"}
    rows = [Row(rename.get(row.index, row.index), row.id, row.source) for row in ROWS]
    indices = tuple(IndexFact(rename.get(one.name, one.name), one.created_at_ms) for one in WHOLE.indices)
    assert texts(replace(WHOLE, indices=indices).with_rows(rows).report()) == []


def test_rows_that_were_announced_and_not_confirmed_are_counted_and_may_be_missing() -> None:
    whole = history(unconfirmed=2)
    report = whole.report()
    assert texts(report) == []
    assert report.unconfirmed == 2
    rows = list(whole.rows)
    for missing in (rows[-1:], rows[-2:-1], rows[-2:]):
        assert texts(whole.with_rows([row for row in rows if row not in missing]).report()) == []
    assert texts(whole.with_rows(rows[:-3]).report()), "the third from the end was confirmed"


def test_rows_written_while_the_heads_were_read_have_no_findings() -> None:
    before = [head for head in WHOLE.heads if head.writer != "c-1.1"]
    heads = tuple(msgspec.structs.replace(head, seq=1, hash=_hash_of(head, 1)) for head in before)
    facts = Facts(ALIAS, WHOLE.now_ms, WHOLE.retention_ms, WHOLE.indices, heads, WHOLE.heads)
    verifier = Verifier(facts)
    for row in ROWS:
        verifier.add(row)
    assert texts(verifier.finish()) == []


def test_rows_in_another_order_show() -> None:
    whole = replace(WHOLE, rows=(Row(index(1), "bare", {}), *ROWS))
    assert all("not in order" in text for text in texts(whole.report())[: len(ROWS)])
    assert texts(replace(WHOLE, rows=tuple(reversed(ROWS))).report())


@given(st.sets(st.sampled_from(PLACES), min_size=1))
def test_any_removal_of_any_rows_shows(removed: set[int]) -> None:
    rows = [row for at, row in enumerate(ROWS) if at not in removed]
    assert texts(WHOLE.with_rows(rows).report())


@given(st.sets(st.sampled_from(PLACES), min_size=1), st.sampled_from([2, 3]))
def test_any_removal_from_what_stands_shows_also_after_the_oldest_indices_have_gone(
    removed: set[int], below: int
) -> None:
    rolled_ms = next(one.created_at_ms for one in WHOLE.indices if one.name == index(below))
    left = aged(WHOLE, below, rolled_ms + 30 * DAY_MS)
    rows = [row for row in left.rows if ROWS.index(row) not in removed]
    assert bool(texts(left.with_rows(rows).report())) == (len(rows) < len(left.rows))


def _hash_of(head: Head, seq: int) -> str:
    (row,) = (one for one in ROWS if (one.source["chain"]["writer"], one.source["chain"]["seq"]) == (head.writer, seq))
    return str(row.source["chain"]["hash"])
