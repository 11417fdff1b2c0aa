"""Which starts get a canary (`core.catalog.split`)."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from leasehold.core.catalog.documents import Canary
from leasehold.core.catalog.split import gets_canary

UNITS = [f"unit-{number}" for number in range(4_000)]
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
VERSIONS = st.integers(1, 2**31 - 1)


def canary(version: int = 2, percent: float = 0.0, labels: dict[str, str] | None = None) -> Canary:
    return Canary(version=version, began_at_ms=0, began_by="me", percent=percent, labels=labels or {})


@given(NAMES, VERSIONS, st.floats(0.01, 100))
@example("flow", 2, 1.0)
@example("flow", 2, 100.0)
def test_the_share_is_what_was_asked_for(name: str, version: int, percent: float) -> None:
    share = canary(version, percent)
    got = sum(gets_canary(share, name, unit, {}) for unit in UNITS) / len(UNITS)
    wanted = percent / 100
    # Six standard deviations of 4,000 throws.
    assert abs(got - wanted) <= 6 * (wanted * (1 - wanted) / len(UNITS)) ** 0.5 + 1 / len(UNITS)


@given(NAMES, VERSIONS, st.floats(0.01, 100), st.text())
def test_the_same_start_gets_the_same_each_time(name: str, version: int, percent: float, unit: str) -> None:
    assert gets_canary(canary(version, percent), name, unit, {}) == gets_canary(
        canary(version, percent), name, unit, {}
    )


@given(NAMES, VERSIONS, st.floats(0.01, 99), st.floats(0, 1))
def test_a_wider_canary_keeps_all_that_a_narrower_one_got(name: str, version: int, percent: float, more: float) -> None:
    narrow, wide = canary(version, percent), canary(version, percent + more)
    assert all(gets_canary(wide, name, unit, {}) for unit in UNITS[:300] if gets_canary(narrow, name, unit, {}))


def test_all_and_nothing_are_exact() -> None:
    assert all(gets_canary(canary(percent=100), "flow", unit, {}) for unit in UNITS)
    assert not any(gets_canary(canary(labels={"a": "b"}), "flow", unit, {}) for unit in UNITS)


def test_another_version_is_tried_on_other_keys() -> None:
    first = {unit for unit in UNITS if gets_canary(canary(2, 10), "flow", unit, {})}
    second = {unit for unit in UNITS if gets_canary(canary(3, 10), "flow", unit, {})}
    elsewhere = {unit for unit in UNITS if gets_canary(canary(2, 10), "other", unit, {})}
    assert len(first & second) < len(first) / 3
    assert len(first & elsewhere) < len(first) / 3


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xy")),
)
def test_labels_get_it_when_all_of_them_match(asked: dict[str, str], given_: dict[str, str]) -> None:
    assert gets_canary(canary(labels=asked), "flow", "unit", given_) == (asked.items() <= given_.items())


def test_labels_and_a_share_add_up() -> None:
    both = canary(percent=20, labels={"team": "soc"})
    assert all(gets_canary(both, "flow", unit, {"team": "soc"}) for unit in UNITS)
    others = sum(gets_canary(both, "flow", unit, {"team": "other"}) for unit in UNITS)
    assert 600 < others < 1_000
