"""What counts as coming back as it was."""

from decimal import Decimal
from typing import Any

import pytest

from daystore.stores.equality import difference

SAME: list[tuple[Any, Any]] = [
    (1, 1),
    (-0.0, -0.0),
    ((1, (2, 3)), [1, [2, 3]]),
    ({"a": [1]}, {"a": [1]}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1, 2}, {2, 1}),
    (Decimal("1.0"), Decimal("1.0")),
]
DIFFERENT: list[tuple[Any, Any, str]] = [
    (1, 1.0, "the value is a int and would come back as a float"),
    (True, 1, "the value is a bool"),
    (0.0, -0.0, "the value would come back unequal"),
    ([1], (1,), "the value is a list and would come back as a tuple"),
    ([1, 2], [1], "another length"),
    ([1, [True]], [1, [1]], "[][] is a bool"),
    ({"secret": 1}, {"secret": 2}, "{} would come back unequal"),
    ({"secret": 1}, {"other": 1}, "other keys"),
    ({1: "a"}, {True: "a"}, "other keys"),
    ({1}, {True}, "unequal"),
    (frozenset({1}), {1}, "the value is a frozenset"),
]


@pytest.mark.parametrize("pair", SAME, ids=lambda pair: str(pair[0]))
def test_the_same(pair: tuple[Any, Any]) -> None:
    assert difference(*pair) is None


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: f"{case[0]} {case[1]}")
def test_a_difference_is_told_without_the_data(case: tuple[Any, Any, str]) -> None:
    stored, restored, expected = case
    found = difference(stored, restored)
    assert found is not None
    assert expected in found
    assert "secret" not in found
