"""Own writes by their sequence numbers (`core.lanes.commits.own_writes`)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.lanes.commits.own_writes import OwnWrites
from leasehold.core.ports import BulkItem, Version


def items(*numbers: int | None) -> list[BulkItem]:
    """One bulk's answers; None for an item that was refused."""
    return [
        BulkItem(409, "i", "d") if number is None else BulkItem(200, "i", "d", Version(number, 1)) for number in numbers
    ]


def test_bulks_without_a_gap_cover_an_advance_whatever_their_order() -> None:
    own = OwnWrites()
    own.settle(9)
    own.acknowledge(items(14, 15))
    own.acknowledge(items(10, 11, 12, 13))

    assert own.covers(12)
    assert own.known == 12
    assert own.covers(15)
    assert own.highest == 15


def test_a_number_between_two_of_ones_own_is_somebody_elses() -> None:
    own = OwnWrites()
    own.acknowledge(items(0, 1, 3))

    assert own.covers(1)
    assert not own.covers(3)
    assert own.known == 1


def test_a_refused_item_and_a_foreign_write_do_not_make_up_for_each_other() -> None:
    own = OwnWrites()
    own.acknowledge(items(0, None, 2))

    assert not own.covers(2)


def test_what_was_looked_at_is_known() -> None:
    own = OwnWrites()
    own.acknowledge(items(0, 2))
    own.settle(2)
    own.acknowledge(items(3))

    assert own.covers(3)


def test_nothing_is_covered_ahead_of_the_acknowledgements() -> None:
    own = OwnWrites()
    own.acknowledge(items(0, 1))

    assert not own.covers(2)
    own.acknowledge(items(2))
    assert own.covers(2)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), min_size=1, max_size=200),
    st.randoms(use_true_random=False),
)
def test_an_advance_is_covered_exactly_if_every_number_in_it_is_acknowledged(
    writes: list[tuple[str, int]], random: object
) -> None:
    own, bulks, at = OwnWrites(), [], 0
    mine: set[int] = set()
    for writer, count in writes:
        numbers = range(at, at + count)
        at += count
        if writer == "a":
            mine.update(numbers)
            bulks.append(items(*numbers))
    random.shuffle(bulks)  # type: ignore[attr-defined]
    for bulk in bulks:
        own.acknowledge(bulk)
    foreign = set(range(at)) - mine

    for checkpoint in range(at):
        assert own.covers(checkpoint) == (not foreign or min(foreign) > checkpoint)
