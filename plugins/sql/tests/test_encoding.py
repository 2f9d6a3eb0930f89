"""Sort keys order as values do, and give them back."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from daystore.abc import sort_value
from daystore_sql.encoding import (
    SCALARS,
    SINGLES,
    decode_scalar,
    encode_position,
    encode_scalar,
    index_entries,
    pack_fields,
    type_range,
    unpack_fields,
)

from .oracle import fields, floats, integers, moments, strings

any_scalar = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(),
    st.datetimes(timezones=st.timezones()),
    integers,
    floats,
    moments,
    strings,
)


@given(any_scalar, any_scalar)
def test_order_of_bytes_is_order_of_values(a: object, b: object) -> None:
    x, y = encode_scalar(a), encode_scalar(b)  # type: ignore[arg-type]
    assert x is not None
    assert y is not None
    values = sort_value(a), sort_value(b)  # type: ignore[arg-type]
    assert (x < y, x == y) == (values[0] < values[1], values[0] == values[1])


@given(any_scalar)
def test_a_sort_key_gives_its_value_back(value: object) -> None:
    key = encode_scalar(value)  # type: ignore[arg-type]
    assert key is not None
    found = decode_scalar(key)
    assert found == value
    assert type(found) is type(value)
    if isinstance(found, datetime):
        assert str(found.tzinfo) == "UTC"
    low, high = type_range(value)
    assert low <= key < high
    assert SCALARS[0] <= key < SCALARS[1] < SINGLES
    assert encode_position(sort_value(value)) == key


def test_an_integer_of_more_than_64_bits_has_no_sort_key() -> None:
    assert encode_scalar(2**63) is None
    assert encode_scalar(-(2**63) - 1) is None


@given(st.dictionaries(st.text(min_size=1), st.one_of(any_scalar, st.lists(st.text()).map(tuple))) | fields)
def test_packed_fields_come_back(given_fields: dict[str, object]) -> None:
    found = unpack_fields(pack_fields(given_fields))  # type: ignore[arg-type]
    # An indexed datetime is an instant, and comes back in UTC. repr tells 0.0 from -0.0, 1 from True and 1.0.
    expected = {k: v.astimezone(UTC) if isinstance(v, datetime) else v for k, v in given_fields.items()}
    assert repr(found) == repr(expected)


def test_minus_zero_comes_back() -> None:
    assert repr(unpack_fields(pack_fields({"f": -0.0}))["f"]) == "-0.0"


def test_a_list_has_an_entry_as_a_whole_and_one_for_each_different_element() -> None:
    entries = index_entries([(3, ("b", "a", "b")), (4, ())])
    tags = sorted((field, key[:1], key[1:] if key[:1] == b"\x08" else b"") for field, key in entries)
    assert tags == [(3, b"\x07", b""), (3, b"\x08", b"a"), (3, b"\x08", b"b"), (4, b"\x07", b"")]
