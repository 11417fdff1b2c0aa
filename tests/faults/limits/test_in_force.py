"""What judges the fault runs is judged itself: it blames what was too much, and nothing else."""

from __future__ import annotations

from .in_force import OBEYED_S, InForce, Lease, overrun


def leases(count: int, *, tenant: str = "acme", began_s: float = 100.0) -> list[Lease]:
    return [Lease(tenant, "work", began_s)] * count


def test_one_lease_too_many_is_seen_of_a_tenant_and_of_all_tenants_together() -> None:
    in_force = InForce({("acme", ""): 2, ("*", "work"): 4})
    in_force.check([*leases(2), *leases(2, tenant="globex")], "here")
    assert in_force.broken == []
    in_force.check(leases(3), "here")
    in_force.check([*leases(2), *leases(3, tenant="globex")], "here")
    assert [broken.partition(" allowed")[0] for broken in in_force.broken] == [
        "here: 3 leases of ('acme', ''), 2",
        "here: 5 leases of ('*', 'work'), 4",
    ]
    assert in_force.most == {("acme", ""): 3, ("*", "work"): 5}


def test_what_began_before_a_limit_was_lowered_may_go_on_and_nothing_may_begin() -> None:
    in_force = InForce({("acme", ""): 10})
    in_force.change(("acme", ""), 4, 100.0)
    in_force.check(leases(10, began_s=100.0 + OBEYED_S), "here")
    in_force.check([*leases(3, began_s=50.0), *leases(1, began_s=200.0)], "here")
    assert in_force.broken == []
    in_force.check([*leases(4, began_s=50.0), *leases(1, began_s=200.0)], "here")
    assert len(in_force.broken) == 1


def test_a_raised_limit_counts_at_once() -> None:
    in_force = InForce({("acme", ""): 4})
    in_force.change(("acme", ""), 10, 100.0)
    in_force.check(leases(10, began_s=100.0), "here")
    assert in_force.broken == []


def test_a_rate_may_use_its_burst_and_what_has_filled_since_and_no_more() -> None:
    burst = [(0.0, 0.0)] * 3
    assert overrun(burst, per_s=2, burst=3) == 0
    assert overrun([*burst, (0.5, 0.5), (1.0, 1.0)], per_s=2, burst=3) == 0
    assert overrun([*burst, (0.4, 0.4)], per_s=2, burst=3) > 0
    assert overrun([*burst, *[(10.0, 10.0)] * 4], per_s=2, burst=3) == 1


def test_what_may_have_happened_outside_of_a_window_is_not_counted_in_it() -> None:
    assert overrun([(0.0, 2.0)] * 7, per_s=2, burst=3) == 0
    assert overrun([(0.0, 2.0)] * 8, per_s=2, burst=3) == 1
