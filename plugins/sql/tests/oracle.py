"""Random records and queries: few values that collide often, and those at the edges."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Aggregate,
    Aggregation,
    And,
    Compare,
    Delete,
    Expectation,
    Function,
    GroupRow,
    Holds,
    Not,
    Op,
    Or,
    Order,
    Outcome,
    Prepare,
    Put,
    Query,
    Record,
    Release,
    from_instant,
)
from daystore.abc.record import Operation
from daystore.errors import VersionConflict

from .conftest import START

KEYS = [
    "a",
    "b",
    "a\x00",
    "a\x00b",
    "A",
    "ä",
    "a%",
    "a_",
    "z\U0010ffff",
    "é",
    "e\u0301",
    "\\u0000",
    "\U0001f600",
    "\uffee",
]
NAMES = ["f", "g", "h", 'x" OR 1=1 --', "key", "created_at", "updated_at"]
MOMENT = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)

integers = st.sampled_from([0, 1, -1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 7])
floats = st.sampled_from([0.0, -0.0, 1.0, -1.5, 2.0**53, 5e-324, 1e308, -1e308, 0.1])
moments = st.sampled_from(
    [
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30))),
        MOMENT + timedelta(microseconds=1),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        from_instant(START),
        from_instant(START + 1),
        from_instant(START + 3),
    ]
)
strings = st.sampled_from(["", "a", "ab", "a\x00", "A", "%", "é", "\U0010ffff", "1", "key", "a_", "\uffff"])
scalars = st.one_of(integers, floats, st.booleans(), moments, strings)
lists = st.lists(strings, max_size=3).map(tuple)
values = st.one_of(scalars, lists)
names = st.sampled_from(NAMES)
fields = st.dictionaries(names, values, max_size=4)

wide = st.one_of(scalars, st.sampled_from([2**63, -(2**63) - 1, 10**40, -(10**40)]), st.sampled_from(KEYS))


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    name, op = draw(names), draw(st.sampled_from(list(Op)))
    value: Any
    if op is Op.IN:
        value = tuple(draw(st.lists(wide, max_size=5)))
    elif op is Op.EXISTS:
        value = True
    elif op in (Op.STARTSWITH, Op.CONTAINS):
        value = draw(st.one_of(strings, st.sampled_from(KEYS)))
    else:
        value = draw(wide)
    return Compare(name, op, value)


predicates = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
orders = st.builds(Order, names, st.booleans())
transactions = st.sampled_from([b"a" * 16, b"b" * 16])


@st.composite
def queries(draw: st.DrawFn, collection: str = "things") -> Query:
    return Query(
        collection,
        where=draw(st.none() | predicates),
        order=draw(st.just(Order()) | orders),
        limit=draw(st.none() | st.integers(0, 5) | st.just(10**30)),
        offset=draw(st.just(0) | st.integers(0, 6) | st.just(10**30)),
    )


@st.composite
def operations(draw: st.DrawFn, collection: str = "things") -> Operation:
    key, held = draw(st.sampled_from(KEYS)), Holds(draw(transactions))
    choices: list[Expectation] = [ANY, ANY, ANY, ABSENT, held, held]
    expect = draw(st.sampled_from(choices))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return Delete(collection, key, expect)
    if kind == 1:
        intent = held.transaction + draw(st.sampled_from([b"", b"\0"]))
        return Prepare(collection, key, intent, draw(st.sampled_from([ANY, ABSENT])))
    if kind == 2:
        return Release(collection, key, held)
    expires: Any = draw(st.sampled_from([None, None, None, START + 1000, START + 2000, KEEP]))
    return Put(
        collection,
        key,
        draw(st.binary(max_size=4)),
        expect,
        expires_at=expires,
        fields=draw(fields),
        content_type=draw(st.sampled_from(["application/json", "text/x"])),
        schema=draw(st.sampled_from([None, "s"])),
        schema_version=draw(st.sampled_from([None, 3])),
        encodings=draw(st.sampled_from([(), ("zstd", "aes")])),
    )


aggregations = st.builds(
    Aggregation,
    st.dictionaries(
        st.sampled_from("mnop"),
        st.one_of(st.just(Aggregate(Function.COUNT)), st.builds(Aggregate, st.sampled_from(Function), names)),
        min_size=1,
    ),
    st.lists(names, max_size=2, unique=True).map(tuple),
)


def same_rows(ours: list[GroupRow], theirs: list[GroupRow]) -> bool:
    """Equal to the type, floats up to their last digits."""
    if [(r.group, list(map(type, r.group))) for r in ours] != [
        (r.group, list(map(type, r.group))) for r in theirs
    ]:
        return False
    for a, b in zip(ours, theirs, strict=True):
        if a.values.keys() != b.values.keys():
            return False
        for name, x in a.values.items():
            y = b.values[name]
            if type(x) is not type(y):
                return False
            if isinstance(x, float) and isinstance(y, float):
                if not math.isclose(x, y, rel_tol=1e-12, abs_tol=0.0):
                    return False
            elif x != y:
                return False
    return True


def told(outcomes: list[Outcome]) -> list[tuple[object, ...]]:
    """Return what outcomes say, their errors included."""
    return [
        (o.version, o.existed, type(o.error), o.error.args, o.error.current, o.error.index)
        if isinstance(o.error, VersionConflict)
        else o
        for o in outcomes
    ]


def visible(records: list[Record | None], now: int) -> list[object]:
    """Return records; of one that is not alive only that its intent is there."""
    return [r if r is None or r.is_alive(now) else (r.key, r.intent) for r in records]
