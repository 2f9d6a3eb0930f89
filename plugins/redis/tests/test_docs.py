"""The page about this backend says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daystore_redis.adapter import CAPABILITIES
from daystore_redis.config import RedisConfig
from daystore_redis.searching import BUDGET

from .test_life import PERMISSIONS

PAGE = (Path(__file__).parents[3] / "docs" / "redis.md").read_text()


def rows() -> dict[str, list[str]]:
    """Return the cells of the rows of all tables, by the name in the first one."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


@pytest.mark.parametrize("option", RedisConfig.model_fields)
def test_each_option_is_told_with_its_default(option: str) -> None:
    default = RedisConfig.model_fields[option].default
    assert rows()[option][-1].strip("`") == (str(default).lower() if type(default) is bool else str(default))


def test_the_permissions_are_those_that_are_tested() -> None:
    (block,) = re.findall(r"```text\n(~.*?)```", PAGE, re.DOTALL)
    assert block.split()[1:] == PERMISSIONS.split()


def test_limits_are_told() -> None:
    limits = CAPABILITIES.limits
    for number in (limits.max_batch, limits.max_atomic_ops, limits.max_field_bytes, BUDGET):
        assert f"{number:,}" in PAGE
