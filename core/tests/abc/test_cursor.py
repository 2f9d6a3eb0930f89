"""Cursors are read back exactly, refused when damaged or foreign, and never raise anything else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daystore.abc import Compare, Op, Order, Position, Query, decode_cursor, encode_cursor, sort_value
from daystore.abc.cursor import query_digest
from daystore.abc.record import Scalar
from daystore.errors import InvalidCursor

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.datetimes(timezones=st.timezones()),
)
QUERY = Query("notes", Compare("n", Op.GE, 1), Order("n", descending=True))


def with_cursor(cursor: str, query: Query = QUERY) -> Query:
    return Query(query.collection, query.where, query.order, cursor=cursor)


@given(SCALARS, st.text(min_size=1))
def test_a_cursor_gives_back_its_position_exactly(value: Scalar | None, key: str) -> None:
    position = Position(sort_value(value), key)
    found = decode_cursor(with_cursor(encode_cursor(QUERY, position)))
    assert found == position
    assert repr(found) == repr(position)


@given(st.one_of(st.text(), st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode())))
@example("")
@example("=")
def test_garbage_is_refused_and_nothing_else_is_raised(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(with_cursor(cursor))


@given(st.data())
def test_one_changed_character_never_raises_anything_else(data: st.DataObject) -> None:
    cursor = encode_cursor(QUERY, Position(sort_value(3), "key"))
    at = data.draw(st.integers(0, len(cursor) - 1))
    damaged = cursor[:at] + data.draw(st.characters()) + cursor[at + 1 :]
    try:
        decode_cursor(with_cursor(damaged))
    except InvalidCursor:
        return


@pytest.mark.parametrize(
    "body", ['[3,"inf","k"]', '[3,"nan","k"]', '[4,"9999999999999999999","k"]', "[9,1,2]", "[]"]
)
def test_a_value_no_record_can_have_is_refused(body: str) -> None:
    head = query_digest(QUERY)
    with pytest.raises(InvalidCursor):
        decode_cursor(with_cursor(base64.urlsafe_b64encode(head + body.encode()).decode()))


@pytest.mark.parametrize(
    "other",
    [
        Query("other", QUERY.where, QUERY.order),
        Query("notes", Compare("n", Op.GE, 2), QUERY.order),
        Query("notes", Compare("n", Op.GE, True), QUERY.order),
        Query("notes", Compare("n", Op.GE, 1.0), QUERY.order),
        Query("notes", Compare("n", Op.GT, 1), QUERY.order),
        Query("notes", None, QUERY.order),
        Query("notes", QUERY.where, Order("n")),
        Query("notes", QUERY.where),
    ],
)
def test_the_cursor_of_another_query_is_refused(other: Query) -> None:
    cursor = encode_cursor(QUERY, Position(sort_value(3), "k"))
    with pytest.raises(InvalidCursor, match="another query"):
        decode_cursor(with_cursor(cursor, other))


def test_another_page_size_may_use_the_cursor() -> None:
    cursor = encode_cursor(Query("notes", limit=5), Position(sort_value("a"), "a"))
    assert decode_cursor(Query("notes", limit=7, cursor=cursor)) == Position((5, "a"), "a")
