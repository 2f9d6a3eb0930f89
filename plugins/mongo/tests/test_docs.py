"""The page about this backend says what is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from daystore_mongo.adapter import CAPABILITIES
from daystore_mongo.compliance import MONGO
from daystore_mongo.config import MongoConfig
from daystore_mongo.sweeping import MOST

PAGE = (Path(__file__).parents[3] / "docs" / "mongo.md").read_text()


def rows() -> dict[str, list[str]]:
    """Return the cells of the rows of all tables, by the name in the first one."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


@pytest.mark.parametrize("option", MongoConfig.model_fields)
def test_each_option_is_told_with_its_default(option: str) -> None:
    assert rows()[option][-1].strip("`") == str(MongoConfig.model_fields[option].default)


def test_limits_are_told() -> None:
    limits = CAPABILITIES.limits
    for number in (limits.max_batch, limits.max_atomic_ops, limits.max_field_bytes, MOST):
        assert f"{number:,}" in PAGE
    assert limits.max_value_bytes == 7 * 1024 * 1024
    assert "7 MiB" in PAGE


def test_the_image_is_told() -> None:
    assert f"--image {MONGO.image}" in PAGE
