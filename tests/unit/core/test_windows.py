"""Windows over a lane's ready steps (`core.lanes.memory.windows`): who is offered, who waits behind the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.lanes.memory.ready_queue import ReadyQueue, ReadyStep
from leasehold.core.lanes.memory.windows import Budget, Windows

NEWEST = 10_000


@dataclass(eq=False)
class Waiting:
    """An instance with one ready step, as far as windows look at it."""

    name: str
    rank: int
    seq_no: int = NEWEST
    ready: dict[str, ReadyStep] = field(default_factory=dict)

    @property
    def ready_key(self) -> tuple[int, int]:
        return self.rank, self.seq_no


class Ground:
    """One lane's windows over a queue, and what they told."""

    def __init__(self, *, line_max_steps: int = 4, max_steps: int = 100) -> None:
        self.queue = ReadyQueue()
        self.budget = Budget(line_max_steps, max_steps)
        self.low = 0
        self.surplus: list[Waiting] = []
        self.windows = Windows(
            self.queue,
            self.budget,
            on_low=self._count_low,
            on_surplus=self.surplus.append,
            on_offered=lambda: None,
        )

    def _count_low(self) -> None:
        self.low += 1

    def add(self, name: str, rank: int, *, seq_no: int = NEWEST, tenant: str = "acme") -> Waiting:
        instance = Waiting(name, rank, seq_no)
        step = instance.ready["work"] = ReadyStep(instance, "work", "render", tenant, rank)
        self.windows.add(step)
        return instance

    def take(self, count: int = 1) -> list[str]:
        """Claim: taken steps are no longer their instance's ready ones."""
        taken = self.queue.take(("render",), None, count)
        for step in taken:
            step.holder.ready.pop("work")
        return [step.holder.name for step in taken]

    def spill(self, *instances: Waiting) -> None:
        for instance in instances:
            assert self.windows.may_leave(instance)
            self.windows.spill(instance)


def filled(count: int) -> tuple[Ground, list[Waiting]]:
    ground = Ground()
    return ground, [ground.add(f"i{n}", rank=n, seq_no=n) for n in range(count)]


def test_a_line_that_fits_is_offered_whole() -> None:
    ground, _ = filled(8)
    assert ground.windows.offered == 8
    assert ground.surplus == []


def test_a_line_that_outgrows_twice_its_window_keeps_its_first_steps() -> None:
    ground, instances = filled(9)
    assert ground.windows.offered == 4
    assert ground.surplus == instances[4:]
    assert ground.take(10) == [f"i{n}" for n in range(9)]


def test_what_becomes_ready_behind_the_end_is_not_offered_and_what_comes_before_it_is() -> None:
    ground, _ = filled(9)
    behind, before = ground.add("late", rank=50), ground.add("urgent", rank=-5)
    assert ground.windows.may_leave(behind)
    assert not ground.windows.may_leave(before)
    assert ground.take() == ["urgent"]


def test_surplus_in_memory_is_offered_without_a_search_while_a_claim_takes() -> None:
    ground, _ = filled(20)
    assert ground.take(20) == [f"i{n}" for n in range(20)]
    assert ground.low == 0


def test_a_line_with_spilled_steps_asks_for_a_refill_before_it_is_empty() -> None:
    ground, instances = filled(9)
    ground.spill(*instances[4:])
    assert ground.take(2) == ["i0", "i1"]
    assert ground.low == 0
    ground.take()
    assert ground.low == 1
    ((line, end, room),) = ground.windows.take_low(10)
    # There is room for more than the three that are missing, since memory is hardly in use.
    assert (line.tenant, line.capability, end, room) == ("acme", "render", (4, -1), 8)


def test_a_refill_moves_the_end_and_offers_what_is_in_memory_up_to_it() -> None:
    ground, instances = filled(9)
    ground.spill(*instances[6:])
    ground.take(3)
    ((line, _, _),) = ground.windows.take_low(10)
    ground.windows.advance(line, (7, 7))
    ground.add("i6", rank=6, seq_no=6)
    ground.add("i7", rank=7, seq_no=7)
    ground.windows.check(line)
    # i4 and i5 had not left memory, i8 has and is still behind the end.
    assert ground.take(10) == ["i3", "i4", "i5", "i6", "i7"]
    assert ground.low == 2


def test_after_a_short_page_the_line_is_whole_again() -> None:
    ground, instances = filled(9)
    ground.spill(*instances[4:])
    ground.take(4)
    ((line, _, _),) = ground.windows.take_low(10)
    ground.windows.advance(line, None)
    for instance in instances[4:]:
        ground.add(instance.name, instance.rank, seq_no=instance.seq_no)
    ground.windows.check(line)
    assert ground.take(10) == [f"i{n}" for n in range(4, 9)]
    assert ground.budget.lines == 0


def test_steps_of_one_rank_go_behind_the_end_together() -> None:
    ground = Ground()
    instances = [ground.add(f"i{n}", rank=7, seq_no=n) for n in range(9)]
    ground.spill(*instances[4:])
    ground.take(4)
    ((_, end, _),) = ground.windows.take_low(10)
    assert end < (7, 0)


def test_an_instance_that_was_written_anew_may_not_leave_when_its_place_is_before_the_end() -> None:
    ground, instances = filled(9)
    ground.spill(*instances[6:])
    ground.take(3)
    ((line, _, _),) = ground.windows.take_low(10)
    ground.windows.advance(line, (8, 8))
    loaded = Waiting("i9", 5, 5)
    loaded.ready["work"] = ReadyStep(loaded, "work", "render", "acme", 5, live=False, line=line)
    line.surplus[loaded.ready["work"]] = None
    assert not ground.windows.may_leave(loaded)
    assert "i9" in ground.take(10)


def test_more_lines_have_shorter_windows() -> None:
    ground = Ground(line_max_steps=50, max_steps=100)
    for tenant in range(10):
        for n in range(30):
            ground.add(f"{tenant}-{n}", rank=n, tenant=f"t{tenant}")
    ground.windows.shrink()
    assert ground.budget.limit == 10
    assert ground.windows.offered <= 200


def test_every_line_has_a_window_however_many_there_are() -> None:
    ground = Ground(max_steps=10)
    for tenant in range(50):
        ground.add("only", rank=1, tenant=f"t{tenant}")
    assert ground.budget.limit == 1
    assert len(ground.take(50)) == 50


def test_a_lost_lane_offers_nothing_more_and_gives_its_lines_back() -> None:
    ground, instances = filled(9)
    ground.windows.close()
    for instance in instances:
        for step in instance.ready.values():
            ground.queue.withdraw(step)
    assert (ground.budget.lines, ground.budget.offered) == (0, 0)
    assert ground.take(10) == []


@given(st.data())
def test_whatever_happens_every_step_is_offered_once_in_the_order_of_its_line(data: st.DataObject) -> None:
    """Adds, claims, departures and refills in any order, against an index that knows all that left."""
    ground = Ground(line_max_steps=data.draw(st.integers(1, 5)))
    index: dict[str, Waiting] = {}
    resident: dict[str, Waiting] = {}
    taken: list[str] = []
    added = 0

    def claim(count: int) -> None:
        for name in ground.take(count):
            taken.append(name)
            resident.pop(name)

    def refill() -> None:
        for line, end, room in ground.windows.take_low(10):
            behind = sorted((one.ready_key, name) for name, one in index.items() if one.ready_key > end)[:room]
            whole = len(behind) < room
            ground.windows.advance(line, None if whole else behind[-1][0])
            for (rank, seq_no), name in behind:
                del index[name]
                resident[name] = ground.add(name, rank, seq_no=seq_no)
            ground.windows.check(line)

    for action in data.draw(st.lists(st.sampled_from(["add", "claim", "leave", "refill"]), max_size=80)):
        if action == "add":
            name = f"i{added}"
            resident[name] = ground.add(name, data.draw(st.integers(0, 6)), seq_no=added)
            added += 1
        elif action == "claim":
            claim(data.draw(st.integers(1, 3)))
        elif action == "refill":
            refill()
        else:
            for name in [name for name, one in resident.items() if ground.windows.may_leave(one)]:
                ground.windows.spill(resident[name])
                index[name] = resident.pop(name)
    for _ in range(3 * added + 3):
        claim(2)
        refill()
    assert sorted(taken) == sorted(f"i{n}" for n in range(added))
