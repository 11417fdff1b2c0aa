"""What is told of a list that somebody follows: each instance when it comes, and when its status changes. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from ....claim.wire.search import FoundInstance

REMEMBERED_MAX = 20_000


class Following:
    """Remembers what was told, of so many instances at most: the ones that were looked at longest ago go first."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._max = remembered_max
        self._told: OrderedDict[str, tuple[str, int]] = OrderedDict()

    @property
    def any_told(self) -> bool:
        return bool(self._told)

    def news(self, found: Iterable[FoundInstance], *, told_only: bool = False) -> list[FoundInstance]:
        """What is to be told of these, the oldest first; with `told_only` of instances that were told of before."""
        news = []
        for one in found:
            now = one.status, one.redrives
            before = self._told.get(one.instance_id)
            if before is None and told_only:
                continue
            self._told[one.instance_id] = now
            self._told.move_to_end(one.instance_id)
            if before != now:
                news.append(one)
        while len(self._told) > self._max:
            self._told.popitem(last=False)
        return sorted(news, key=when)


def when(one: FoundInstance) -> int:
    """What its line is dated by: its end where it has ended, else its start."""
    return one.finished_at_ms or one.created_at_ms


def others(statuses: Sequence[str], known: Sequence[str]) -> list[str]:
    """The statuses that a list by these leaves out."""
    return [one for one in known if one not in statuses] if statuses else []
