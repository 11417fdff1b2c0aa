from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.tenancy import FairQueue, May

Entry = tuple[str, int]


def queue_of(*tenants: str, each: int = 1_000, weights: dict[str, float] | None = None) -> FairQueue[Entry]:
    known = {} if weights is None else weights
    queue: FairQueue[Entry] = FairQueue(lambda entry: True, weight_of=lambda tenant: known.get(tenant, 1.0))
    for tenant in tenants:
        for n in range(each):
            queue.push(tenant, n, (tenant, n))
    return queue


def popped(queue: FairQueue[Entry], count: int) -> list[Entry]:
    return [entry for _ in range(count) if (entry := queue.pop()) is not None]


def test_tenants_of_equal_weight_take_turns_whatever_their_backlog() -> None:
    queue = queue_of("large", each=1_000)
    for n in range(10):
        queue.push("small", n, ("small", n))
    assert Counter(tenant for tenant, _ in popped(queue, 20)) == {"large": 10, "small": 10}


@pytest.mark.parametrize("weight", [2.0, 5.0, 10.0])
def test_a_tenant_gets_its_weights_share_of_a_standing_backlog(weight: float) -> None:
    queue = queue_of("heavy", "light", each=2_000, weights={"heavy": weight})
    served = Counter(tenant for tenant, _ in popped(queue, 1_100))
    assert served["heavy"] / served["light"] == pytest.approx(weight, rel=0.02)


def test_a_changed_weight_holds_from_the_next_claim_on() -> None:
    weights = {"a": 1.0}
    queue = queue_of("a", "b", weights=weights)
    popped(queue, 100)
    weights["a"] = 3.0
    queue.reweigh()
    assert Counter(tenant for tenant, _ in popped(queue, 400))["a"] == pytest.approx(300, abs=4)


def test_within_a_tenant_the_lowest_rank_comes_first_and_equals_in_order_of_arrival() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True)
    for rank, n in ((5, 0), (1, 1), (5, 2), (1, 3)):
        queue.push("t", rank, ("t", n))
    assert [n for _, n in popped(queue, 4)] == [1, 3, 0, 2]


def test_an_idle_tenant_gets_no_credit_for_its_absence() -> None:
    queue = queue_of("busy", each=1_000)
    popped(queue, 500)
    for n in range(100):
        queue.push("late", n, ("late", n))
    assert Counter(tenant for tenant, _ in popped(queue, 100))["busy"] == pytest.approx(50, abs=1)


def test_a_tenant_served_while_alone_pays_no_debt_later() -> None:
    queue = queue_of("first", each=100)
    popped(queue, 100)
    for n in range(10):
        queue.push("second", n, ("second", n))
        queue.push("first", n, ("first", n))
    assert Counter(tenant for tenant, _ in popped(queue, 10)) == {"first": 5, "second": 5}


def test_what_a_claim_really_cost_is_charged_afterwards() -> None:
    queue = queue_of("a", "b")
    popped(queue, 2)
    queue.charge("a", 10.0)
    assert [tenant for tenant, _ in popped(queue, 10)] == ["b"] * 10


def test_taking_by_name_advances_that_tenant_and_leaves_the_others_alone() -> None:
    queue = queue_of("a", "b")
    assert [queue.pop("a") for _ in range(3)] == [("a", 0), ("a", 1), ("a", 2)]
    assert Counter(tenant for tenant, _ in popped(queue, 7)) == {"b": 5, "a": 2}


def test_dead_entries_are_passed_over_and_cost_nothing() -> None:
    dead = {("a", n) for n in range(0, 1_000, 2)}
    queue: FairQueue[Entry] = FairQueue(lambda entry: entry not in dead)
    for n in range(100):
        queue.push("a", n, ("a", n))
        queue.push("b", n, ("b", n))
    first = popped(queue, 40)
    assert dead.isdisjoint(first)
    assert Counter(tenant for tenant, _ in first) == {"a": 20, "b": 20}


def test_nothing_comes_of_an_empty_queue_or_an_unknown_tenant() -> None:
    queue = queue_of("a", each=1)
    assert queue.pop("nobody") is None
    assert queue.pop() == ("a", 0)
    assert queue.pop() is None
    queue.push("a", 0, ("a", 7))
    assert queue.pop() == ("a", 7)


pushes = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=60)


@given(pushes, st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=80))
def test_every_entry_comes_out_exactly_once(entries: list[tuple[str, int]], pops: list[str | None]) -> None:
    queue: FairQueue[tuple[str, int, int]] = FairQueue(lambda entry: True)
    for number, (tenant, rank) in enumerate(entries):
        queue.push(tenant, rank, (tenant, rank, number))
    out = [entry for tenant in pops if (entry := queue.pop(tenant)) is not None]
    while (entry := queue.pop()) is not None:
        out.append(entry)
    assert sorted(number for _, _, number in out) == list(range(len(entries)))


def test_what_is_held_back_in_one_lane_keeps_nothing_in_another() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True)
    for n in range(4):
        queue.push("a", n, ("a", n), "left" if n % 2 else "right")
    taken = [queue.pop(may=lambda tenant, lane: May.BLOCK_TENANT if lane == "right" else May.PASS) for _ in range(4)]
    assert taken == [("a", 1), ("a", 3), None, None]
    queue.unblock("a", "right")
    assert [queue.pop() for _ in range(3)] == [("a", 0), ("a", 2), None]


def test_a_blocked_tenant_is_not_asked_about_again_and_holds_up_nobody() -> None:
    queue = queue_of("a", "b", each=10)
    asked: list[str] = []

    def may(tenant: str, _lane: object) -> May:
        asked.append(tenant)
        return May.BLOCK_TENANT if tenant == "a" else May.PASS

    served = [entry for _ in range(12) if (entry := queue.pop(may=may)) is not None]
    assert [tenant for tenant, _ in served] == ["b"] * 10
    assert asked.count("a") == 1


def test_a_closed_lane_is_passed_over_until_it_opens_and_costs_nothing_meanwhile() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True)
    for tenant in ("a", "b", "c"):
        for n in range(3):
            queue.push(tenant, n, (tenant, n), "closed")
    queue.push("c", 9, ("c", 9), "open")
    asked = 0

    def may(_tenant: str, lane: object) -> May:
        nonlocal asked
        asked += 1
        return May.CLOSE_LANE if lane == "closed" else May.PASS

    assert queue.pop(may=may) == ("c", 9)
    assert queue.pop(may=may) is None
    assert asked == 2
    queue.open("closed")
    assert Counter(tenant for tenant, _ in popped(queue, 10)) == {"a": 3, "b": 3, "c": 3}


def test_who_was_blocked_gets_no_credit_for_it() -> None:
    queue = queue_of("held", "busy", each=1_000)
    held = {"held"}

    def may(tenant: str, _lane: object) -> May:
        return May.BLOCK_TENANT if tenant in held else May.PASS

    for _ in range(300):
        queue.pop(may=may)
    held.clear()
    queue.unblock("held", None)
    assert Counter(tenant for tenant, _ in popped(queue, 100))["busy"] == pytest.approx(50, abs=1)


def test_dear_steps_are_claimed_less_often() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True, cost_of=lambda entry: 30.0 if entry[0] == "slow" else 10.0)
    for n in range(1_000):
        queue.push("slow", n, ("slow", n))
        queue.push("fast", n, ("fast", n))
    assert Counter(tenant for tenant, _ in popped(queue, 400))["slow"] == pytest.approx(100, abs=2)


def test_what_cost_less_than_charged_is_made_good() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True, cost_of=lambda entry: 100.0)
    for n in range(1_000):
        queue.push("a", n, ("a", n))
        queue.push("b", n, ("b", n))
    for _ in range(200):
        tenant, _n = popped(queue, 1)[0]
        queue.charge(tenant, -50.0 if tenant == "a" else 0.0)
    assert Counter(tenant for tenant, _ in popped(queue, 300))["a"] == pytest.approx(150, abs=3)


def test_two_queues_that_tell_each_other_are_fair_together() -> None:
    here, there = queue_of("everywhere", "here", each=5_000), queue_of("everywhere", "there", each=5_000)
    served: Counter[str] = Counter()
    for _ in range(100):
        for queue in (here, there):
            served.update(tenant for tenant, _ in popped(queue, 20))
        told, here.served = here.served, {}
        back, there.served = there.served, {}
        there.adjust(told)
        here.adjust(back)
    # Of 4,000 claims each of three gets a third, though two of them wait at one queue alone.
    assert {tenant: count / 4_000 for tenant, count in served.items()} == pytest.approx(
        {"everywhere": 1 / 3, "here": 1 / 3, "there": 1 / 3}, rel=0.05
    )


def test_who_waits_for_nothing_here_is_not_put_behind_for_what_it_got_elsewhere() -> None:
    queue = queue_of("busy", each=1_000)
    queue.push("visitor", 0, ("visitor", 0))
    popped(queue, 4)
    queue.adjust({"visitor": 10_000.0})
    for n in range(100):
        queue.push("visitor", n, ("visitor", n))
    assert Counter(tenant for tenant, _ in popped(queue, 100))["visitor"] == pytest.approx(50, abs=2)


def test_debts_have_a_bound() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True, debt_max=20.0)
    for n in range(1_000):
        queue.push("a", n, ("a", n))
    for n in range(500):
        assert queue.pop("a") == ("a", n)
    queue.charge("a", 1e9)
    for n in range(1_000):
        queue.push("b", n, ("b", n))
    assert [tenant for tenant, _ in popped(queue, 22)].count("a") >= 1


def test_a_lane_that_is_gone_takes_its_entries_along() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True)
    queue.push("a", 0, ("a", 0), "gone")
    queue.push("a", 1, ("a", 1), "stays")
    queue.forget("gone")
    queue.forget("never seen")
    assert popped(queue, 5) == [("a", 1)]
    queue.push("a", 2, ("a", 2), "gone")
    assert queue.pop() == ("a", 2)


def test_tenants_that_wait_for_nothing_are_forgotten_in_the_end() -> None:
    queue: FairQueue[Entry] = FairQueue(lambda entry: True)
    for n in range(20_000):
        queue.push(f"tenant-{n}", 0, (f"tenant-{n}", n))
        queue.pop()
    assert len(queue._flows) < 3_000


actions = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from("abc"), st.sampled_from("LR"), st.integers(0, 5)),
        st.tuples(st.just("pop"), st.sampled_from([None, "a", "b", "c"])),
        st.tuples(st.just("hold"), st.sampled_from("abc"), st.sampled_from("LR")),
        st.tuples(st.just("let"), st.sampled_from("abc"), st.sampled_from("LR")),
        st.tuples(st.just("close"), st.sampled_from("LR")),
        st.tuples(st.just("open"), st.sampled_from("LR")),
        st.tuples(st.just("kill"), st.integers(0, 50)),
        st.tuples(st.just("charge"), st.sampled_from("abc"), st.floats(-5, 5)),
        st.tuples(st.just("elsewhere"), st.sampled_from("abc"), st.floats(0, 5)),
    ),
    max_size=120,
)


@given(actions)
def test_whatever_happens_what_may_be_taken_is_taken_once_and_in_its_tenants_order(
    course: list[tuple[object, ...]],
) -> None:
    dead: set[int] = set()
    waiting: dict[int, tuple[str, str, int]] = {}
    held: set[tuple[str, str]] = set()
    closed: set[str] = set()
    queue: FairQueue[int] = FairQueue(lambda number: number not in dead)

    def may(tenant: str, lane: object) -> May:
        if lane in closed:
            return May.CLOSE_LANE
        return May.BLOCK_TENANT if (tenant, lane) in held else May.PASS

    def free(tenant: object = None) -> list[tuple[int, int]]:
        return sorted(
            (rank, number)
            for number, (owner, lane, rank) in waiting.items()
            if number not in dead and (owner, lane) not in held and lane not in closed and tenant in (None, owner)
        )

    for number, (what, *args) in enumerate(course):
        if what == "push":
            tenant, lane, rank = args
            assert isinstance(tenant, str)
            assert isinstance(lane, str)
            assert isinstance(rank, int)
            queue.push(tenant, rank, number, lane)
            waiting[number] = (tenant, lane, rank)
        elif what == "pop":
            taken = queue.pop(args[0], may)  # type: ignore[arg-type]
            if taken is None:
                assert not free(args[0])
            else:
                assert (waiting[taken][2], taken) == free(waiting[taken][0])[0]
                assert args[0] in (None, waiting[taken][0])
                del waiting[taken]
        elif what == "hold":
            held.add((str(args[0]), str(args[1])))
        elif what == "let":
            held.discard((str(args[0]), str(args[1])))
            queue.unblock(str(args[0]), args[1])
        elif what == "close":
            closed.add(str(args[0]))
        elif what == "open":
            closed.discard(str(args[0]))
            queue.open(args[0])
        elif what == "kill":
            dead.add(int(str(args[0])))
        elif what == "charge":
            queue.charge(str(args[0]), float(str(args[1])))
        else:
            queue.adjust({str(args[0]): float(str(args[1]))})
    for lane in "LR":
        queue.open(lane)
        for tenant in "abc":
            queue.unblock(tenant, lane)
    rest = list(iter(queue.pop, None))
    assert sorted(rest) == sorted(set(waiting) - dead)
