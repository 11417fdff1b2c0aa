"""The role that walks through pages of `_search`, one request at a time, as a person does who looks for something."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ..http1 import Connection, ConnectionLost
from ..principal import headers_of
from .orders import SearcherSetup, Walk, Walked

_OK = 200
_EVERY_TENANT = "*"


class _Found(Struct):
    instance_id: str
    status: str


class _Total(Struct):
    value: int
    relation: str


class _Page(Struct):
    """What is read of a page."""

    instances: list[_Found]
    total: _Total
    next: str | None = None


_page = msgspec.json.Decoder(_Page)


class Searcher:
    """One connection that stays."""

    def __init__(self, setup: SearcherSetup) -> None:
        self._scheduler = setup.scheduler
        self._connection = Connection(setup.scheduler)

    def perform(self, order: Walk) -> Walked:
        page_ns: list[int] = []
        found: list[_Found] = []
        total: _Total | None = None
        failed = 0
        target = f"{order.target}{'&' if '?' in order.target else '?'}size={order.size}"
        following = target
        for _ in range(order.pages):
            request = self._scheduler.request("GET", following, headers=headers_of(_EVERY_TENANT))
            try:
                answer = self._connection.exchange(request)
            except ConnectionLost:
                failed += 1
                break
            if answer.status != _OK:
                failed += 1
                break
            page = _page.decode(answer.body)
            page_ns.append(answer.arrived_ns - answer.sent_ns)
            found += page.instances
            total = total or page.total
            if page.next is None:
                break
            following = f"{target}&next={page.next}"
        return Walked(
            page_ns,
            [one.instance_id for one in found],
            [one.status for one in found],
            failed,
            None if total is None else total.value,
            exact=total is not None and total.relation == "eq",
        )
