"""Where an instance's time went: in queues, at executors, in waits, with people.

The first three are sums over attempts and steps, those of children included; what runs in parallel adds up, so they may
exceed the instance's duration. The time with people is none: it is how long at least one decision was open, so what is
left of the duration is how long the instance would have taken had everybody decided at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

SPANS_KEPT = 32
"""So many are kept apart, so that the state does not grow with the decisions of a long loop."""

Span = tuple[int, int]


class Waits(Struct, frozen=True, array_like=True, gc=False):
    """`wait_ms`: what `wait` and `wait_for_signal` steps took.

    `asked_since_ms`: at least one decision of the instance's own has been open since then, 0 for none. `asked` are the
    spans before that in which one was open, here or in a child, disjoint and in order. Where they are too many, those
    closest to each other are joined: `between_ms` is the time in them in which nobody was asked.
    """

    wait_ms: int = 0
    asked_since_ms: int = 0
    asked: tuple[Span, ...] = ()
    between_ms: int = 0

    @property
    def human_ms(self) -> int:
        """How long decisions were open. Exact while no more spans than are kept apart overlapped; else never more."""
        return _length(self.asked) - self.between_ms


NO_WAITS = Waits()


class Times(Struct, frozen=True, array_like=True, gc=False):
    """`queue_ms`: from ready to claimed, over finished attempts. `run_ms`: from claimed to finished, over the same.

    Each finished attempt makes one of these anew, so all that is rarer stands in `waits`.
    """

    queue_ms: int = 0
    run_ms: int = 0
    waits: Waits = NO_WAITS


NO_TIME = Times()


def none_asked(waits: Waits, at_ms: int) -> Waits:
    """No decision of the instance's own is open any more. A clock that has gone back counts as no time."""
    asked, joined_ms = _joined((*waits.asked, (waits.asked_since_ms, at_ms)))
    return replace(waits, asked_since_ms=0, asked=asked, between_ms=waits.between_ms + joined_ms)


def with_child(times: Times, child: Times) -> Times:
    """A child has ended, with all that it has counted."""
    waits = times.waits if child.waits is NO_WAITS else _together(times.waits, child.waits)
    return Times(times.queue_ms + child.queue_ms, times.run_ms + child.run_ms, waits)


def _together(waits: Waits, child: Waits) -> Waits:
    asked, joined_ms = _joined((*waits.asked, *child.asked))
    # Gaps of one may be spans of the other: together they asked for at least as long as either.
    longest_ms = max(waits.human_ms, child.human_ms)
    between_ms = min(waits.between_ms + child.between_ms + joined_ms, _length(asked) - longest_ms)
    return Waits(waits.wait_ms + child.wait_ms, waits.asked_since_ms, asked, between_ms)


def _joined(spans: Iterable[Span]) -> tuple[tuple[Span, ...], int]:
    """The union of spans, at most `SPANS_KEPT` of them, and how long the gaps are that this closed."""
    union: list[Span] = []
    for begin, end in sorted(spans):
        if union and begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        elif begin < end:
            union.append((begin, end))
    closed_ms = 0
    while len(union) > SPANS_KEPT:
        at = min(range(1, len(union)), key=lambda number: union[number][0] - union[number - 1][1])
        closed_ms += union[at][0] - union[at - 1][1]
        union[at - 1 : at + 1] = [(union[at - 1][0], union[at][1])]
    return tuple(union), closed_ms


def _length(spans: Iterable[Span]) -> int:
    return sum(end - begin for begin, end in spans)
