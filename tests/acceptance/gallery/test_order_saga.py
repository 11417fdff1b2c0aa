"""The saga goes through, or leaves nothing behind."""

from __future__ import annotations

from typing import Any

from leasehold.core.testing import Run, Takes, play

from .stubs import EXAMPLES, Services, render

SAGA = EXAMPLES / "order-saga.yaml"
ORDER: dict[str, Any] = {
    "order_id": "O-17",
    "lines": [{"sku": "A1", "count": 2}],
    "total_cents": 1250,
    "card": "card-9",
}


def order(services: Services) -> Run:
    return play(SAGA, params=ORDER, executors={"http": services, "render": render})


def test_an_order_goes_through() -> None:
    services = Services()
    run = order(services)
    run.until_done()
    assert run.status == "succeeded"
    assert run.outputs == {
        "reservation": "reserve-stock-1", "payment": "charge-card-1", "courier": "book-courier-1", "confirmed": True,
    }  # fmt: skip
    assert services.asked[-1][2] == {"order": "O-17", "text": "Invoice for order O-17: 12.50 EUR"}
    assert run.instance.undone == ""


def test_an_order_that_no_courier_takes_is_undone_in_reverse_order() -> None:
    services = Services("/courier")
    run = order(services)
    run.until_done()
    assert (run.status, run.error.type if run.error else "") == ("failed", "http.503")
    assert services.addresses() == [
        "POST /stock/reservations",
        "POST /payments",
        "POST /courier/bookings",
        "POST /payments/charge-card-1/refund",
        "DELETE /stock/reservations/reserve-stock-1",
        "POST /support/tickets",
    ]
    assert len(run.attempts("fulfil.parcel.book-courier")) == 5
    assert run.instance.undone == "succeeded"
    assert (run.steps["charge-card"].undone, run.steps["confirm"].status) == ("succeeded", "cancelled")
    ticket = services.asked[-1][2]
    assert (ticket["order"], ticket["step"]) == ("O-17", "fulfil")


def test_a_refund_is_tried_until_it_works() -> None:
    services = Services("/courier", "/refund")
    run = order(services)
    run.until(lambda run: len(run.attempts()) > 11)
    services.down.discard("/refund")
    run.until_done()
    assert run.instance.undone == "succeeded"
    assert [attempt.outcome for attempt in run.attempts("charge-card.compensate")][-1] == "succeeded"


def test_a_refund_that_fails_for_good_is_recorded_and_stock_is_released_all_the_same() -> None:
    services = Services("/courier", "/refund")
    run = order(services)
    run.until_done()
    assert (run.status, run.instance.undone) == ("failed", "failed")
    assert (run.steps["charge-card"].undone, run.steps["reserve-stock"].undone) == ("failed", "succeeded")
    assert len(run.attempts("charge-card.compensate")) == 21


def test_a_mail_that_does_not_go_out_costs_no_order() -> None:
    run = order(Services("/mails"))
    run.until_done()
    assert (run.status, run.outputs["confirmed"]) == ("succeeded", False)


def test_an_order_that_is_cancelled_half_way_is_undone() -> None:
    services = Services()
    stubs = {"http": services, "render": render}
    run = play(
        SAGA, params=ORDER, executors=stubs, steps={"fulfil.parcel.book-courier": Takes("20s", {"json": {"id": "b"}})}
    )
    run.advance(seconds=5)
    run.cancel(by="ada")
    run.until_done()
    assert run.status == "cancelled"
    assert services.addresses()[-2:] == [
        "POST /payments/charge-card-1/refund",
        "DELETE /stock/reservations/reserve-stock-1",
    ]
