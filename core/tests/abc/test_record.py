"""What cannot be written is refused when the change is made, before any backend sees it."""

from __future__ import annotations

from typing import Any

import pytest

from daystore.abc import Put


@pytest.mark.parametrize("version", [None, 0, 1, 2**31, 2**63 - 1])
def test_a_version_of_a_schema_fits_every_database(version: int | None) -> None:
    assert Put("notes", "k", b"", schema="s", schema_version=version).schema_version == version


@pytest.mark.parametrize("version", [-1, 2**63, 2**64])
def test_a_version_of_a_schema_outside_the_range_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match=r"2\*\*63-1"):
        Put("notes", "k", b"", schema="s", schema_version=version)


@pytest.mark.parametrize("version", ["1", 1.0, True])
def test_a_version_of_a_schema_that_is_no_int_is_refused(version: Any) -> None:
    with pytest.raises(TypeError, match=type(version).__name__):
        Put("notes", "k", b"", schema="s", schema_version=version)
