"""The page about this backend says what is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from daystore_s3.adapter import CAPABILITIES
from daystore_s3.config import S3Config
from daystore_s3.places import VALUE
from daystore_s3.urls import MAX_PREFIX

PAGE = (Path(__file__).parents[3] / "docs" / "s3.md").read_text()


def rows() -> dict[str, list[str]]:
    """Return the cells of the rows of all tables, by the name in the first one."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


@pytest.mark.parametrize("option", S3Config.model_fields)
def test_each_option_is_told_with_its_default(option: str) -> None:
    default = S3Config.model_fields[option].default
    assert rows()[option][-1].strip("`") == (str(default).lower() if type(default) is bool else str(default))


def test_limits_are_told() -> None:
    limits = CAPABILITIES.limits
    for number in (limits.max_batch, limits.max_field_bytes, VALUE, MAX_PREFIX):
        assert f"{number:,}" in PAGE
