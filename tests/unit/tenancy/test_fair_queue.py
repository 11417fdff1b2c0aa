from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.tenancy import FairQueue

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
