"""Durations and sizes: the same numbers as Elasticsearch 8.19.8 reads (its own parsers were asked)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.ilm.policies import size_bytes, size_text, time_ms, time_text
from leasehold.ilm.policies.units import is_told_exactly, is_told_wholly

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("0ms", 0),
        ("0d", 0),
        ("7d", 7 * DAY_MS),
        ("7D", 7 * DAY_MS),
        ("07d", 7 * DAY_MS),
        ("90m", 5_400_000),
        ("2H", 7_200_000),
        ("5s", 5_000),
        ("250MS", 250),
        ("2000micros", 2),
        ("3000000nanos", 3),
        ("106751d", 106_751 * DAY_MS),
    ],
)
def test_a_duration(text: str, ms: int) -> None:
    assert time_ms(text) == ms


NO_DURATIONS = (
    "7 d 1.5d 1M 1w 1y 1min -1 -1d +7d 1e3d ٧d 1µs 1_0d 106752d 9223372036854775808ms 1500micros 1nanos 5\u017f"
)


@pytest.mark.parametrize("text", [*NO_DURATIONS.split(), "", "7 d", " 7d", "7d\n", "9" * 5_000 + "d"])
def test_no_duration(text: str) -> None:
    assert time_ms(text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("0b", 0),
        ("1b", 1),
        ("50gb", 50 * 2**30),
        ("50G", 50 * 2**30),
        ("1k", 1_024),
        ("1.5gb", 1_610_612_736),
        ("1.123gb", 1_205_812_068),
        ("0.0001kb", 0),
        ("1.5pb", 1_688_849_860_263_936),
        ("8191pb", 9_222_246_136_947_933_184),
        ("9223372036854775807b", 2**63 - 1),
    ],
)
def test_a_size(text: str, size: int) -> None:
    assert size_bytes(text) == size


NO_SIZES = (
    "50 b kb -1 -1b +5gb 1.5b 1.gb .5gb 1eb 8192pb 9223372036854775808b 1e3gb nangb 0x1p3gb 5dgb ٥gb 1_0gb 5\u212ab"
)


@pytest.mark.parametrize("text", [*NO_SIZES.split(), "", "50 gb", " 50gb", "50gb\n", "9" * 5_000 + "gb"])
def test_no_size(text: str) -> None:
    assert size_bytes(text) is None


@given(st.integers(0, 2**63 // 1_000_000 - 1))
def test_a_duration_is_written_as_it_is_read(ms: int) -> None:
    assert time_ms(time_text(ms)) == ms


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    assert size_bytes(size_text(size)) == size


def test_the_shortest_writings() -> None:
    assert [time_text(ms) for ms in (0, 1, 90_000, 5_400_000, 3 * DAY_MS)] == ["0ms", "1ms", "90s", "90m", "3d"]
    assert [size_text(size) for size in (0, 5, 1_536, 50 * 2**30)] == ["0b", "5b", "1536b", "50gb"]


def test_what_elasticsearch_tells_with_a_fraction_or_cut_down() -> None:
    assert [is_told_wholly(time_ms(text) or 0) for text in ("0ms", "48h", "90s", "36h", "90m")] == [True, True] + [
        False
    ] * 3
    assert [is_told_exactly(size_bytes(text) or 0) for text in ("0b", "50gb", "1536mb", "1500mb", "1025b")] == (
        [True] * 3 + [False] * 2
    )
