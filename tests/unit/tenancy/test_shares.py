"""The arithmetic of a quota's document, under owners who see old states, lose answers, and are followed by others."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from leasehold.tenancy.shares import (
    FREE,
    QuotaDocument,
    Share,
    adopted,
    declared,
    fair_part,
    given_back,
    limited,
    refilled,
    shared_out,
    wanted,
    without_removed,
)
from leasehold.tenancy.sharing import Outcome, Position, settled

LANES = ["00", "01", "02", "03"]


def document(limit: int, *, as_of: int = 1, **shares: int) -> QuotaDocument:
    held = {lane.removeprefix("lane_"): Share(1, units) for lane, units in shares.items()}
    return QuotaDocument(limit=limit, as_of=as_of, shares=held)


def settle(found: QuotaDocument, *positions: Position, limit: int | None = None, as_of: int = 1) -> Outcome:
    return settled(
        found,
        positions,
        limit=found.limit if limit is None else limit,
        as_of=as_of,
        removed=lambda _lane: False,
    )


def test_the_document_reads_as_epoch_and_units() -> None:
    written = msgspec.json.decode(msgspec.json.encode(wanted(document(5, lane_00=3), "01", 7, 2)))
    assert written["shares"] == {"00": [1, 3]}
    assert written["wants"] == {"01": [7, 2]}


def test_older_rules_do_not_undo_what_newer_ones_have_set() -> None:
    found = limited(document(5, as_of=3), 2, 7)
    assert (found.limit, found.as_of) == (2, 7)
    assert limited(found, 5, 6) is found
    assert limited(found, 2, 8) is found


def test_a_new_owner_has_the_units_and_an_earlier_ones_wish_is_forgotten() -> None:
    found = adopted(wanted(document(5, lane_00=3), "00", 1, 2), "00", 4)
    assert (found.shares, found.wants) == ({"00": Share(4, 3)}, {})
    assert found.lost("00", 3)
    assert not found.lost("00", 4)


def test_an_earlier_owner_changes_nothing_of_its_lane() -> None:
    found = adopted(document(5, lane_00=3, lane_01=2), "00", 4)
    after = settle(found, Position("00", 3, wants=5)).document
    assert after is found


def test_what_is_free_goes_to_those_who_wait_in_their_order() -> None:
    found = document(5, lane_00=2)
    for lane in ("03", "01", "02"):
        found = wanted(found, lane, 1, 4)
    after = shared_out(found)
    assert after.shares == {"00": Share(1, 2), "03": Share(1, 1), "01": Share(1, 1), "02": Share(1, 1)}
    assert after.wants == {}
    assert shared_out(wanted(document(1), "01", 1, 4)).shares == {"01": Share(1, 1)}


def test_a_lane_that_is_alone_may_have_all() -> None:
    assert settle(document(7), Position("00", 1, wants=7)).document.shares == {"00": Share(1, 7)}


def test_an_owner_gives_what_it_does_not_need_and_owes_what_is_above_its_part() -> None:
    found = wanted(document(8, lane_00=8), "01", 1, 6)
    after = settle(found, Position("00", 1, used=5, recent=5, wants=3))
    assert after.document.shares == {"00": Share(1, 5), "01": Share(1, 3)}
    assert after.owed == {"00": 1}
    rests = settle(found, Position("00", 1, used=5, recent=5, wants=3, rested=False))
    assert rests.document.shares == {"00": Share(1, 8)}
    assert rests.restless


def test_nobody_gives_so_that_another_has_more_than_it() -> None:
    found = wanted(wanted(document(5, lane_00=3, lane_01=2), "01", 1, 2), "00", 1, 1)
    after = settle(found, Position("00", 1, used=3, recent=3, wants=1))
    assert after.document is found
    assert after.owed == {}


def test_a_lane_that_gave_its_turn_waits_behind_the_others() -> None:
    found = wanted(wanted(document(1, lane_00=1), "00", 1, 1), "01", 1, 1)
    after = settle(found, Position("00", 1, recent=1, wants=1)).document
    assert after.shares == {"01": Share(1, 1)}
    assert after.wants == {"00": Share(1, 1)}


def test_units_that_are_not_used_lapse_though_nobody_waits() -> None:
    found = document(8, lane_00=8)
    assert settle(found, Position("00", 1, used=1, recent=3)).document.shares == {"00": Share(1, 3)}
    assert settle(found, Position("00", 1, used=1, recent=3, lapses=False)).document is found


def test_a_lowered_limit_is_cut_to_parts_but_never_below_what_is_used() -> None:
    found = document(8, lane_00=4, lane_01=4)
    first = settle(found, Position("00", 1, used=3, recent=3), limit=4, as_of=2)
    assert first.document.shares == {"00": Share(1, 3), "01": Share(1, 4)}
    assert first.owed == {"00": 1}
    second = settle(first.document, Position("01", 1), limit=4, as_of=2)
    assert second.document.given <= 5
    third = settle(second.document, Position("01", 1), limit=4, as_of=2)
    assert third.document.over == 0


def test_lanes_that_are_gone_are_struck_off() -> None:
    found = wanted(document(5, lane_00=3, lane_01=2), "00", 1, 2)
    after = without_removed(found, lambda lane: lane == "00")
    assert (after.shares, after.wants, after.free) == ({"01": Share(1, 2)}, {}, 3)


def test_what_runs_before_a_quota_is_in_force_is_declared() -> None:
    found = declared(document(2), "00", 1, 5)
    assert (found.given, found.over) == (5, 3)
    assert settle(found, Position("01", 1, wants=1)).document.shares == {"00": Share(1, 5)}


def test_a_first_user_of_a_rate_has_its_burst_at_once_and_a_full_unit_stays_full_on_its_way() -> None:
    fresh = QuotaDocument(limit=4, as_of=1, filled={FREE: 4.0})
    first = settle(fresh, Position("00", 1, wants=4, lapses=False))
    assert first.filled == {"00": 4.0}
    assert first.document.filled == {}
    asked = wanted(first.document, "01", 1, 4)
    second = settle(asked, Position("00", 1, lapses=False, tokens=2.5)).document
    assert second.shares == {"01": Share(1, 4)}
    assert second.filled == {"01": 2.5}
    assert settle(second, Position("01", 1, recent=4, lapses=False)).filled == {"01": 2.5}


@given(tokens=st.floats(0, 100), units=st.integers(0, 5), taken=st.integers(0, 5))
def test_no_unit_is_more_than_full(tokens: float, units: int, taken: int) -> None:
    found = refilled(document(5, lane_00=units) if units else document(5), tokens)
    found = shared_out(wanted(found, "01", 1, taken))
    assert found.filled.get(FREE, 0.0) <= found.free
    assert sum(found.filled.values()) <= 5 - units


@given(st.integers(0, 10), st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_the_fair_parts_of_all_are_at_most_the_limit(limit: int, units: list[int]) -> None:
    found = QuotaDocument(
        limit=limit, as_of=1, shares={lane: Share(1, n) for lane, n in zip(LANES, units, strict=True)}
    )
    assert fair_part(found) * len(LANES) <= limit
    assert given_back(found, "00", 0) is found


class Owner:
    """One owner of a lane, as `core.lanes.quotas.accounts` acts: it believes in acknowledgements alone."""

    def __init__(self, lane: str, epoch: int, used: int) -> None:
        self.lane = lane
        self.epoch = epoch
        self.share = 0
        self.used = used
        self.wants = 0
        # A write under way: over which version, and what it holds.
        self.sent: tuple[int, QuotaDocument] | None = None


class Quota(RuleBasedStateMachine):
    """One document and owners of four lanes. Earlier owners act on for ever, but what they begin is fenced off."""

    @initialize(limit=st.integers(0, 6))
    def begin(self, limit: int) -> None:
        self.limit, self.as_of = limit, 1
        self.version = 0
        self.document = QuotaDocument(limit=limit, as_of=1)
        self.lowered = False
        self.running = dict.fromkeys(LANES, 0)
        self.owners = {lane: Owner(lane, 1, 0) for lane in LANES}
        self.earlier: list[Owner] = []
        self.late: list[tuple[int, QuotaDocument]] = []

    def _land(self, over: int, written: QuotaDocument) -> bool:
        """A conditional write reaches Elasticsearch."""
        if over != self.version:
            return False
        before = self.document.given
        assert written.given <= written.limit or written.given <= before
        self.document, self.version = written, self.version + 1
        return True

    def _owners(self) -> list[Owner]:
        return [*self.owners.values(), *self.earlier]

    @rule(lane=st.sampled_from(LANES), units=st.integers(1, 4))
    def wants(self, lane: str, units: int) -> None:
        self.owners[lane].wants = units

    @rule(lane=st.sampled_from(LANES))
    def takes(self, lane: str) -> None:
        owner = self.owners[lane]
        if owner.used < owner.share:
            owner.used += 1
            self.running[lane] += 1

    @rule(lane=st.sampled_from(LANES))
    def ends(self, lane: str) -> None:
        """The end stands, and is acknowledged."""
        if self.running[lane]:
            self.running[lane] -= 1
            self.owners[lane].used -= 1

    @rule(number=st.integers(0, 20), rested=st.booleans(), recent=st.integers(0, 4))
    def sends(self, number: int, rested: bool, recent: int) -> None:
        owners = self._owners()
        owner = owners[number % len(owners)]
        if owner.sent is not None:
            return
        position = Position(
            owner.lane, owner.epoch, owner.used, recent=max(owner.used, recent), wants=owner.wants, rested=rested
        )
        after = settle(self.document, position, limit=self.limit, as_of=self.as_of).document
        owner.sent = self.version, after
        owner.share = min(owner.share, self._units(after, owner))

    def _units(self, found: QuotaDocument, owner: Owner) -> int:
        share = found.shares.get(owner.lane)
        return share.units if share is not None and share.epoch == owner.epoch else 0

    @rule(number=st.integers(0, 20), fate=st.sampled_from(["answered", "answered", "lost", "late"]))
    def lands(self, number: int, fate: str) -> None:
        under_way = [owner for owner in self._owners() if owner.sent is not None]
        if not under_way:
            return
        owner = under_way[number % len(under_way)]
        assert owner.sent is not None
        (over, written), owner.sent = owner.sent, None
        if fate == "late":
            self.late.append((over, written))
        elif self._land(over, written) and fate == "answered":
            owner.share = self._units(written, owner)
            if owner.lane not in written.wants:
                owner.wants = 0

    @rule(number=st.integers(0, 20))
    def lands_late(self, number: int) -> None:
        if self.late:
            self._land(*self.late.pop(number % len(self.late)))

    @rule(lane=st.sampled_from(LANES))
    def is_taken_over(self, lane: str) -> None:
        """The new owner counts what runs; what the earlier one takes from here on is fenced off, its writes are not."""
        old = self.owners[lane]
        self.earlier.append(old)
        self.owners[lane] = Owner(lane, old.epoch + 1, self.running[lane])

    @rule(lane=st.sampled_from(LANES))
    def an_earlier_owner_takes_or_ends(self, lane: str) -> None:
        """In its own memory alone."""
        for old in self.earlier:
            if old.lane == lane and old.used < old.share:
                old.used += 1
                return

    @rule(limit=st.integers(0, 6))
    def the_limit_is(self, limit: int) -> None:
        self.lowered |= limit < self.limit
        self.limit, self.as_of = limit, self.as_of + 1

    @invariant()
    def what_runs_is_within_what_the_document_gives(self) -> None:
        if not hasattr(self, "running"):
            return
        for lane, running in self.running.items():
            assert running <= self.document.units(lane)
        if not self.lowered:
            assert sum(self.running.values()) <= self.limit


Quota.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestQuota = Quota.TestCase
