"""Names and sums, compared with what they have to be."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daystore_mongo.aggregating import ExactSum
from daystore_mongo.documents import id_of, key_of
from daystore_mongo.names import collection_name, field_name, field_path, namespace_prefix

TEXT: Final = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NUMBERS: Final = st.lists(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)), max_size=20
)


@given(TEXT, TEXT)
def test_identifiers_order_as_the_bytes_of_keys(one: str, other: str) -> None:
    """In UTF-8 as in UTF-16, as some servers compare by the one and some by the other."""
    assert key_of(id_of(one)) == one
    for encoding in ("utf-8", "utf-16-be"):
        encoded = id_of(one).encode(encoding) < id_of(other).encode(encoding)
        assert encoded is (one.encode() < other.encode())


@given(TEXT)
def test_field_names_are_told_apart_and_are_no_paths(name: str) -> None:
    """A part of a path has no dot, no dollar and no NUL, and tells the name."""
    part = field_path(name)
    assert not set(part) & set(".$\0")
    assert field_name(part) == name


@pytest.mark.parametrize(
    "namespace", ["daystore", "system", "%73ystem", "é" * 64, "e" * 128, "a.b", "\0", "$"]
)
def test_names_of_collections_are_allowed_and_told_apart(namespace: str) -> None:
    """They are short enough, are not the server's own, and begin as no other namespace's do."""
    name = collection_name(namespace, "c" * 63)
    assert len(name) <= 255 - 64
    assert not name.startswith("system.")
    assert not set(name) & set("$\0")
    others = [
        namespace_prefix(other)
        for other in ("daystore", "system", "%73ystem", "a", "é" * 63)
        if other != namespace
    ]
    assert not any(name.startswith(other) for other in others)


@given(NUMBERS)
def test_sums_are_exact(numbers: list[int | float]) -> None:
    """Integers add up exactly; with floats among them the sum is the float that is nearest to the true one."""
    total = ExactSum()
    for number in numbers:
        total.add(number, 2)
    exact = 2 * sum(map(Fraction, numbers))
    assert total.count == 2 * len(numbers)
    if all(type(number) is int for number in numbers):
        assert total.total() == exact
        return
    try:
        assert total.total() == float(exact)
    except OverflowError:
        assert total.total() == float("inf") * (1 if exact > 0 else -1)
