"""Durations as the language writes them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.definitions.durations import DURATION_MAX_MS, PATTERN, duration_ms, duration_text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("30s", 30_000),
        ("5m", 300_000),
        ("4h", 14_400_000),
        ("7d", 604_800_000),
        ("0s", 0),
        ("PT30S", 30_000),
        ("PT0.25S", 250),
        ("PT1,5S", 1_500),
        ("P7D", 604_800_000),
        ("P1W", 604_800_000),
        ("P1DT2H3M4S", 93_784_000),
        ("PT90M", 5_400_000),
        ("3650d", DURATION_MAX_MS),
    ],
)
def test_a_duration_is_read_as_milliseconds(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5 m",
        "m",
        "-5m",
        "5M",
        "1.5h",
        "1h30m",
        "P",
        "PT",
        "P1DT",
        "P1Y",
        "P1M",
        "PT1H2",
        "P1D2H",
        "५m",
        "5m\n",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        duration_ms(text)
    assert not re.search(PATTERN.replace("$", r"\Z"), text, re.ASCII)


def test_a_duration_is_at_most_ten_years() -> None:
    with pytest.raises(ValueError, match="longer than 3650d"):
        duration_ms("3651d")
    with pytest.raises(ValueError, match="longer than 3650d"):
        duration_ms("999999999999999d")


@given(st.integers(0, DURATION_MAX_MS))
def test_a_written_duration_is_read_as_the_same_milliseconds(ms: int) -> None:
    assert duration_ms(duration_text(ms)) == ms
