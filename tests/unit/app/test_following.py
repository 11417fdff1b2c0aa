"""What is told of a list that somebody follows."""

from __future__ import annotations

from leasehold.claim.wire.search import FoundInstance
from leasehold.core.app.commands.following import Following, others, when


def one(
    id: str, status: str = "running", at_ms: int = 1, finished_at_ms: int | None = None, redrives: int = 0
) -> FoundInstance:
    return FoundInstance(id, "w", 1, "t", "s", status, at_ms, finished_at_ms, redrives=redrives)


def told(found: list[FoundInstance]) -> list[tuple[str, str]]:
    return [(instance.instance_id, instance.status) for instance in found]


def test_an_instance_is_told_when_it_comes_and_when_its_status_changes() -> None:
    following = Following()
    assert told(following.news([one("b", at_ms=2), one("a")])) == [("a", "running"), ("b", "running")]
    assert following.news([one("b", at_ms=2), one("a")]) == []
    assert told(following.news([one("a", "failed", finished_at_ms=9), one("c", at_ms=3)])) == [
        ("c", "running"),
        ("a", "failed"),
    ]
    assert told(following.news([one("a", redrives=1)])) == [("a", "running")]
    assert told(following.news([one("a", "failed", redrives=1)])) == [("a", "failed")]


def test_what_leaves_the_list_is_told_of_instances_that_were_told_of() -> None:
    following = Following()
    assert not following.any_told
    following.news([one("a", "failed")])
    assert told(following.news([one("a", redrives=1), one("b")], told_only=True)) == [("a", "running")]
    assert following.any_told


def test_so_many_are_remembered_and_the_ones_seen_last_stay() -> None:
    following = Following(remembered_max=2)
    following.news([one("a"), one("b")])
    following.news([one("a")])
    following.news([one("c")])
    assert following.news([one("a"), one("c")]) == []
    assert told(following.news([one("b")])) == [("b", "running")]


def test_a_line_is_dated_by_the_end_where_there_is_one() -> None:
    assert (when(one("a", at_ms=5)), when(one("a", at_ms=5, finished_at_ms=7))) == (5, 7)


def test_the_other_statuses_are_asked_for_only_where_some_were_named() -> None:
    assert others(["failed"], ["running", "failed"]) == ["running"]
    assert others([], ["running", "failed"]) == others(["running", "failed"], ["running", "failed"]) == []
