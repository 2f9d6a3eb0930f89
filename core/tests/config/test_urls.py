"""Which parameters of a URL are ours."""

import pytest

from daystore.config import split_url
from daystore.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/0",
        "redis://user:p%40ss@host:6379/0?ssl=1&x=%20",
        "redis://host/0?",
        "redis://host/0?&&a=b&",
        "sqlite:///daystore_x=1.db",
        "redis://daystore_x:1@host/0#daystore_x=1",
        "redis://host?my_daystore_x=1",
    ],
)
def test_url_without_ours_stays_as_it_is(url: str) -> None:
    assert split_url(url) == (url, {})


@pytest.mark.parametrize(
    ("url", "rest", "options"),
    [
        ("memory://?daystore_namespace=a", "memory://", {"namespace": "a"}),
        ("r://h/0?daystore_a=1&ssl=%31&daystore_b=2", "r://h/0?ssl=%31", {"a": "1", "b": "2"}),
        ("r://h/0?ssl=1&daystore_a=x%26y+z#top", "r://h/0?ssl=1#top", {"a": "x&y+z"}),
        ("r://h/0?daystore_a", "r://h/0", {"a": ""}),
        ("r://h/0?daystore%5Fa=1", "r://h/0", {"a": "1"}),
        ("sqlite:///:memory:?daystore_a=1", "sqlite:///:memory:", {"a": "1"}),
    ],
)
def test_our_parameters_are_taken_out_and_decoded(url: str, rest: str, options: dict[str, str]) -> None:
    assert split_url(url) == (rest, options)


@pytest.mark.parametrize(
    ("query", "message"),
    [("daystore_a=1&daystore_a=2", "'daystore_a' is given twice"), ("daystore_=1", "without a name")],
)
def test_parameter_that_makes_no_sense_is_refused_without_the_password(query: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        split_url(f"redis://user:hunter2@host?{query}")
    assert "hunter2" not in str(caught.value)
