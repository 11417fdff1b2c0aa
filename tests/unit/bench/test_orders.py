"""What goes to load processes and comes back survives its way through JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from leasehold.bench.load import Address, Timed
from leasehold.bench.load.orders import (
    Claim,
    Claims,
    Fire,
    Pass,
    Passed,
    Prepare,
    Probe,
    Probes,
    Start,
    StarterSetup,
    Starts,
)
from leasehold.bench.load.roles import ROLES, role_class


@pytest.mark.parametrize(
    "sent",
    [
        StarterSetup(Address("http://127.0.0.1:1", "Basic x"), "w", 4),
        Fire(5, 20.0, 1.5, "1-20.0-1", 7),
        Starts([Start(1, Timed(1, 2, 3), 201), Start(2, Timed(1, 2, None), 0)]),
        Claims([Claim(1, "00-x~work~1", 1, 2, 3, 200)], 1),
        Probes([Probe(Timed(1, 2, 3), 4), Probe(Timed(1, 2, None))]),
        Passed(10, 1, 2, 3, 0, [5, 6]),
    ],
)
def test_an_order_or_answer_is_read_as_it_was_written(sent: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(sent), type=type(sent)) == sent


@pytest.mark.parametrize("order", [Prepare(500, 2), Pass(17)])
def test_a_role_with_several_orders_tells_them_apart(order: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(order), type=ROLES["raw-writer"][3]) == order


@pytest.mark.parametrize("name", sorted(ROLES))
def test_every_role_has_a_class_that_takes_orders(name: str) -> None:
    assert callable(vars(role_class(name))["perform"])
