"""``${NAME}`` in files, and what is shown of it."""

from collections.abc import Callable

import pytest

from daystore.config import Config

Read = Callable[..., Config]


def bucket(config: Config) -> object:
    return config.storage.backends["a"].options["bucket"]


def text(value: str) -> str:
    return f"[backends.a]\nurl = 'good://h'\noptions = {{ bucket = '{value}' }}\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}", "a-value-value"),
        ("${NAME:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${UNSET:-}", ""),
        ("${EMPTY}", ""),
        ("$${NAME}", "${NAME}"),
        ("$NAME $ {NAME} 5$", "$NAME $ {NAME} 5$"),
        ("${NESTED}", "${NAME}"),
    ],
)
def test_reference(read: Read, written: str, value: str) -> None:
    config = read(text(written), NAME="value", EMPTY="", NESTED="${NAME}")
    assert bucket(config) == value


def test_unset_variable_is_named_with_the_nearest(mistakes: Callable[..., list[str]]) -> None:
    (line,) = mistakes(text("${REDIS_PASWORD}"), REDIS_PASSWORD="hunter2")
    where, _, what = line.partition(": ")
    assert where == "backends.a.options.bucket (agent.toml:3 with ${REDIS_PASWORD})"
    assert what == "the environment variable 'REDIS_PASWORD' is not set; did you mean 'REDIS_PASSWORD'?"


@pytest.mark.parametrize("written", ["${", "${}", "${A B}", "${1A}", "a${NAME"])
def test_malformed_reference_is_refused(mistakes: Callable[..., list[str]], written: str) -> None:
    (line,) = mistakes(text(written), NAME="x")
    assert "(agent.toml:3): a reference is ${NAME} or ${NAME:-default}" in line


def test_numbers_may_come_from_variables(read: Read) -> None:
    config = read("[backends.a]\nurl = 'memory://'\ntimeout = '${LIMIT}'\n", LIMIT="5")
    assert config.storage.backends["a"].timeout == 5.0


def test_variables_that_a_file_takes_in_are_no_settings(read: Read) -> None:
    config = read(text("${DAYSTORE_STORE__X__TTL}"), DAYSTORE_STORE__X__TTL="b")
    assert bucket(config) == "b"


def test_origin_names_the_variables(read: Read) -> None:
    config = read(text("${A}${B:-x}"), A="1")
    assert str(config.origins["backends.a.options.bucket"]) == "agent.toml:3 with ${A} with ${B}"
