"""Sort keys order as values do, and fields come back exactly."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from daystore.abc import FieldValue, Scalar, sort_value
from daystore.abc.sortkeys import (
    decode_scalar,
    encode_element,
    encode_prefix,
    encode_scalar,
    pack_fields,
    sort_keys,
    successor,
    unpack_fields,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VALUES: list[Scalar] = [
    *(False, True),
    *(-(2**63), -(2**53) - 1, -(2**53), -1, 0, 1, 255, 256, 2**53, 2**53 + 1, 2**63 - 1),
    *(-1.7e308, -1.5, -5e-324, 0.0, 5e-324, 1.5, 1.7e308),
    *(
        datetime.min.replace(tzinfo=UTC),
        EPOCH - timedelta(microseconds=1),
        EPOCH,
        datetime.max.replace(tzinfo=UTC),
    ),
    *("", "\0", "\0\0", "\0a", "a", "a\0", "a\0\0", "a\0b", "aa", "a\x01", "ab", "é", "\uffff", "\U0001f600"),
]


def test_sort_keys_order_as_values_do_and_come_back() -> None:
    """The order of bytes is the order of the contract, for values of all types together."""
    ordered = sorted(VALUES, key=sort_value)
    keys = [encode_scalar(value) for value in ordered]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(keys))
    assert [decode_scalar(key) for key in keys if key is not None] == ordered


def test_no_sort_key_begins_another() -> None:
    """An entry of an index is a sort key and a key, and is told apart without their lengths."""
    keys = [key for value in VALUES if (key := encode_scalar(value)) is not None]
    assert not [(a, b) for a in keys for b in keys if a != b and b.startswith(a)]


def test_a_range_of_one_sort_key_holds_its_entries_alone() -> None:
    """Between a sort key and its successor lies every entry with it, whatever the key, and no other."""
    keys = [key for value in VALUES if (key := encode_scalar(value)) is not None] + [encode_element("a")]
    for one in keys:
        for other in keys:
            for key in (b"\0", b"k", "\U0010ffff".encode()):
                assert (one <= other + key < successor(one)) == (one == other)


def test_prefixes_hold_what_begins_with_them() -> None:
    """A range from a prefix to the prefix and FF holds exactly the strings that begin with it."""
    texts = [value for value in VALUES if isinstance(value, str)]
    for prefix in texts:
        low = encode_prefix(prefix)
        for text in texts:
            key = encode_scalar(text)
            assert key is not None
            assert (low <= key + b"k" < low + b"\xff") == text.startswith(prefix)


def test_fields_come_back_exactly() -> None:
    """Every type comes back equal, of its type, lists in their order, and -0.0 with its sign."""
    rng = random.Random(1)
    for _ in range(300):
        fields: dict[str, FieldValue] = {f"f\0{i}": rng.choice(VALUES) for i in range(rng.randrange(6))}
        fields["list"] = tuple(rng.choices(["", "a", "\0", "é\0x"], k=rng.randrange(4)))
        fields["zero"] = -0.0
        found = unpack_fields(pack_fields(fields))
        assert list(found.items()) == list(fields.items())
        assert [type(value) for value in found.values()] == [type(value) for value in fields.values()]
        assert str(found["zero"]) == "-0.0"


def test_integers_beyond_64_bits_have_no_sort_key() -> None:
    """No field can hold them, so a query that asks for one finds nothing equal."""
    assert encode_scalar(2**63) is None
    assert encode_scalar(-(2**63) - 1) is None
    with pytest.raises(ValueError, match="at most 64 bits"):
        pack_fields({"n": 2**63})


def test_a_list_is_found_by_itself_and_by_each_of_its_items() -> None:
    """A scalar has one sort key; a list one that says that it is there, and one for each different item."""
    assert sort_keys("a") == [encode_scalar("a")]
    assert sort_keys(("b", "a", "b")) == [b"\x07", encode_element("b"), encode_element("a")]
    assert sort_keys(()) == [b"\x07"]
