"""What is on or off, as people write it."""

from __future__ import annotations

import pytest

from daystore.config.switches import parse_switch


@pytest.mark.parametrize(
    ("value", "switch"),
    [(True, True), (False, False), ("true", True), ("false", False), (None, None), ("default", None)],
)
def test_switch_is_a_bool_or_left_to_the_default(value: object, switch: bool | None) -> None:
    assert parse_switch(value) is switch


@pytest.mark.parametrize("value", ["yes", "True", "1", ""])
def test_another_text_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="should be true, false or 'default'"):
        parse_switch(value)


@pytest.mark.parametrize("value", [1, 0, [], b"true"])
def test_another_type_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="should be true, false or 'default', not"):
        parse_switch(value)
