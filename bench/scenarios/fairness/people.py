"""The tenants of the standing backlog. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ...load.orders import Backlog

# A step's number says whose it is.
NUMBERS_EACH = 10_000_000
HEAVIEST = 10

_LIMITS = (1, 2, 3, 5, 8)


class Person(Struct, frozen=True):
    """One tenant. `later_weight` is its weight after the change; 0: then none of its steps may run any more.

    `limit`: its `max_running_steps`, from the beginning on.
    """

    number: int
    name: str
    weight: int
    later_weight: int
    limit: int | None = None

    @property
    def document(self) -> dict[str, Any]:
        return {"weight": self.weight, **({} if self.limit is None else {"max_running_steps": self.limit})}

    @property
    def later_document(self) -> dict[str, Any]:
        if not self.later_weight:
            return {**self.document, "max_running_steps": 0}
        return {**self.document, "weight": self.later_weight}

    @property
    def changes(self) -> bool:
        return self.later_weight != self.weight


def people_of(tenants: int) -> list[Person]:
    """So many tenants with weights from 1 to 10, and a few more that their limits hold back.

    Of the tenants the first, which has weight 1, gets 10 in the change; the last may run nothing from then on.
    """
    people = []
    for number in range(tenants):
        weight = later = 1 + number % HEAVIEST
        if number == 0:
            later = HEAVIEST
        elif number == tenants - 1:
            later = 0
        people.append(Person(number, f"fair-{number:03d}", weight, later))
    for number, limit in enumerate(_LIMITS, tenants):
        people.append(Person(number, f"limited-to-{limit}", HEAVIEST, HEAVIEST, limit))
    return people


def backlogs_of(people: Sequence[Person], waiting: int) -> list[Backlog]:
    """About so many instances, of each tenant in proportion to its weight (the larger one): all last equally long."""
    sizes = [max(person.weight, person.later_weight) for person in people]
    return [
        Backlog(person.name, waiting * size // sum(sizes), person.number * NUMBERS_EACH)
        for person, size in zip(people, sizes, strict=True)
    ]


def weights_before(people: Sequence[Person]) -> dict[int, float]:
    """Weights of the tenants that nothing but their weight holds back, until the change."""
    return {person.number: float(person.weight) for person in people if person.limit is None}


def weights_after(people: Sequence[Person]) -> dict[int, float]:
    """The same from the change on."""
    return {
        person.number: float(person.later_weight) for person in people if person.limit is None and person.later_weight
    }
