"""Durations and timeouts, as people write them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daystore.config import parse_duration, parse_timeout


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [
        ("30d", 2_592_000_000),
        ("1h30m", 5_400_000),
        ("1w2d3h4m5s6ms", 788_645_006),
        ("1.5h", 5_400_000),
        ("500ms", 500),
        ("2m", 120_000),
        (30, 30_000),
        (0.25, 250),
        (0.1 + 0.2, 300),
        (timedelta(days=1, milliseconds=7), 86_400_007),
        (timedelta(microseconds=1501), 2),
    ],
)
def test_duration_is_milliseconds(duration: str | float | timedelta, milliseconds: int) -> None:
    assert parse_duration(duration) == milliseconds


@pytest.mark.parametrize(
    "duration",
    [
        *(
            "",
            "30",
            "d",
            "30 d",
            " 30d",
            "30D",
            "1m1h",
            "1h1h",
            "-1d",
            "+1d",
            "1e3s",
            "1.s",
            ".5s",
            "30d\n",
            "٣d",
        ),
        *(0, -1, 0.0004, float("nan"), float("inf"), "0s", "0d0h", 10**12, "400000d"),
        *(timedelta(0), timedelta(seconds=-1), timedelta.max, timedelta(microseconds=400)),
    ],
)
def test_what_is_no_duration_is_a_value_error(duration: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(duration)


@pytest.mark.parametrize("duration", [None, True, b"1d", [1], 1j])
def test_wrong_type_is_a_type_error(duration: Any) -> None:
    with pytest.raises(TypeError, match="a duration is '30d'"):
        parse_duration(duration)


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=31_536_000_000_000))
def test_every_form_of_a_duration_is_the_same(milliseconds: int) -> None:
    assert parse_duration(f"{milliseconds}ms") == milliseconds
    assert parse_duration(timedelta(milliseconds=milliseconds)) == milliseconds
    seconds, rest = divmod(milliseconds, 1000)
    assert parse_duration(f"{seconds}s{rest}ms") == milliseconds


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (None, None),
        ("none", None),
        (5, 5.0),
        (0.5, 0.5),
        ("30", 30.0),
        ("2.5", 2.5),
        ("500ms", 0.5),
        ("1m", 60.0),
    ],
)
def test_timeout_is_seconds(timeout: object, seconds: float | None) -> None:
    assert parse_timeout(timeout) == seconds


@pytest.mark.parametrize("timeout", [0, -1, "0.0", "soon", "", float("nan"), float("inf")])
def test_what_is_no_timeout_is_a_value_error(timeout: object) -> None:
    with pytest.raises(ValueError, match=r"a (timeout|duration)"):
        parse_timeout(timeout)


@pytest.mark.parametrize("timeout", [True, [], b"1"])
def test_timeout_of_a_wrong_type_is_a_type_error(timeout: object) -> None:
    with pytest.raises(TypeError, match="a timeout is a number of seconds or a duration"):
        parse_timeout(timeout)
