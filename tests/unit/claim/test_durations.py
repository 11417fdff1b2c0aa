from datetime import timedelta

import pytest
from leasehold.claim.durations import duration_ms, duration_text


@pytest.mark.parametrize(
    ("given", "text", "milliseconds"),
    [
        ("250ms", "250ms", 250),
        ("30s", "30s", 30_000),
        ("5m", "5m", 300_000),
        ("4h", "4h", 14_400_000),
        ("7d", "7d", 604_800_000),
        (timedelta(seconds=1.5), "1500ms", 1_500),
        (timedelta(microseconds=1), "1ms", 1),
        (timedelta(), "0ms", 0),
    ],
)
def test_a_duration_is_text_or_a_timedelta(given: str | timedelta, text: str, milliseconds: int) -> None:
    assert (duration_text(given), duration_ms(given)) == (text, milliseconds)


@pytest.mark.parametrize("given", ["", "30", "1.5s", "-1s", "30 s", "٣s", "PT30S", timedelta(seconds=-1)])
def test_anything_else_is_refused_with_what_is_allowed(given: str | timedelta) -> None:
    with pytest.raises(ValueError, match=r"the duration is .*; (write a whole number|it must not be negative)"):
        duration_text(given)
