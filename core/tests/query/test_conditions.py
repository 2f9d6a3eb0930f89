"""Conditions: what each operator means on a store, and how they are joined."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daystore import Q
from daystore.abc import Record
from daystore.abc.evaluate import matcher
from daystore.errors import SchemaError
from daystore.query.fields import Fields
from daystore.stores import Store

NOW = datetime(2026, 6, 1, tzinfo=UTC)
INDEXES: Any = {"s": str, "n": int, "f": float, "b": bool, "t": datetime, "tags": list[str]}
RECORDS: dict[str, dict[str, Any]] = {
    "empty": {},
    "low": {"s": "a", "n": -1, "f": -0.5, "b": False, "t": NOW, "tags": []},
    "high": {"s": "ab", "n": 10, "f": 10.0, "b": True, "t": NOW + timedelta(days=1), "tags": ["x", "y"]},
    "mid": {"s": "A", "n": 9, "f": 9.5, "b": True, "t": NOW + timedelta(microseconds=1), "tags": ["xy"]},
}
OPERANDS: dict[str, list[Any]] = {
    "s": ["a", "A", "", "ab"],
    "n": [9, -1, 0],
    "f": [9.5, 10.0, 0.0, 10],
    "b": [True, False],
    "t": [NOW, NOW + timedelta(days=1)],
}
WRITTEN: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


async def store_of(adapter: Any) -> Store[Any]:
    store = Store(adapter, "notes", indexes=INDEXES)
    await store.set_batch(RECORDS)
    return store


@pytest.mark.parametrize("op", WRITTEN)
async def test_comparisons_with_values_of_the_index_s_type(adapter: Any, op: str) -> None:
    store = await store_of(adapter)
    for field, operands in OPERANDS.items():
        for operand in operands:
            expected = {
                key
                for key, value in RECORDS.items()
                if (field in value and WRITTEN[op](value[field], operand))
                or (op == "!=" and field not in value)
            }
            query = store.where(field, op, operand)
            assert set(await query.keys()) == expected, (field, op, operand)
            assert await query.count() == len(expected)
            others = await store.all().where_not(field, op, operand).keys()
            assert set(others) == set(RECORDS) - expected


async def test_in_and_not_in_are_complements_and_take_any_iterable_once(adapter: Any) -> None:
    store = await store_of(adapter)
    assert await store.where("s", "in", ["a", "A", "missing"]).keys() == ["low", "mid"]
    assert await store.where("s", "not in", {"a", "A"}).keys() == ["empty", "high"]
    twice = store.where("n", "in", iter([9, 10]))
    assert await twice.keys() == await twice.keys() == ["high", "mid"]
    once = Q("n", "in", iter([9, 10]))
    assert await store.where(once).keys() == await store.where(once).keys() == ["high", "mid"]
    assert await store.where("f", "in", [10, 9.5]).keys() == ["high", "mid"]
    assert await store.where("s", "in", []).keys() == []
    assert await store.where("s", "not in", []).count() == 4
    for wrong in ("abc", 5, {"a": 1}):
        with pytest.raises(TypeError, match="several values"):
            store.where("s", "in", wrong)


async def test_startswith_contains_and_exists(adapter: Any) -> None:
    store = await store_of(adapter)
    assert await store.where("s", "startswith", "a").keys() == ["high", "low"]
    assert await store.where("s", "startswith", "").keys() == ["high", "low", "mid"]
    assert await store.where("key", "startswith", "m").keys() == ["mid"]
    assert await store.where("tags", "contains", "x").keys() == ["high"]
    assert await store.where("tags", "exists").keys() == ["high", "low", "mid"]
    assert await store.where("tags", "exists", False).keys() == ["empty"]
    with pytest.raises(TypeError, match="True or False"):
        store.where("tags", "exists", 1)


async def test_what_every_record_has_can_be_queried(adapter: Any, clock: Any) -> None:
    store = await store_of(adapter)
    clock.advance(10)
    await store.set("low", {})
    await store.set("new", {})
    entry = await store.entry("new")
    assert entry is not None
    assert await store.where("updated_at", ">=", entry.created_at).keys() == ["low", "new"]
    assert await store.where("created_at", ">=", entry.created_at).keys() == ["new"]
    assert await store.where("key", ">", "low").keys() == ["mid", "new"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "9"),
        ("n", 9.0),
        ("n", True),
        ("s", 1),
        ("b", 1),
        ("b", "True"),
        ("f", True),
        ("t", "2026"),
        ("tags", "x"),
    ],
)
async def test_a_comparison_never_crosses_types(adapter: Any, field: str, value: Any) -> None:
    store = await store_of(adapter)
    for op in ("=", "<", "<=", ">", ">="):
        assert await store.where(field, op, value).count() == 0
    assert await store.where(field, "in", [value]).count() == 0
    assert await store.where(field, "!=", value).count() == 4
    assert await store.where(field, "not in", [value]).count() == 4


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None)
@given(number=st.one_of(st.integers(), st.integers(2**53 - 3, 2**53 + 9), FLOATS.map(int)), found=FLOATS)
@example(number=2**53 + 1, found=float(2**53))
@example(number=2**53 + 1, found=float(2**53 + 2))
@example(number=10**400, found=1.7976931348623157e308)
@example(number=-(10**400), found=-1.7976931348623157e308)
@example(number=int(1.7976931348623157e308), found=1.7976931348623157e308)
@example(number=int(1.7976931348623157e308) + 1, found=1.7976931348623157e308)
@example(number=0, found=-0.0)
def test_an_integer_beside_a_float_index_is_the_number_it_is(number: int, found: float) -> None:
    """Python compares integers with floats exactly; it is the oracle."""
    fields = Fields("notes", {"f": float})
    near = [found, math.nextafter(found, math.inf), math.nextafter(found, -math.inf)]
    for op, meaning in WRITTEN.items():
        matches = matcher(Q("f", op, number).compile(fields))
        for value in filter(math.isfinite, near):
            record = Record("k", b"", "v", 0, 0, fields={"f": value})
            assert matches(record) == meaning(value, number), (op, value, number)
        assert matches(Record("k", b"", "v", 0, 0)) == (op == "!=")


async def test_enum_members_stand_for_their_values(adapter: Any) -> None:
    class Letter(StrEnum):
        A = "a"

    store = await store_of(adapter)
    assert await store.where("s", "=", Letter.A).keys() == ["low"]
    assert await store.where("s", "in", [Letter.A]).keys() == ["low"]


async def test_and_or_not(adapter: Any) -> None:
    store = await store_of(adapter)
    assert await store.where("b", "=", True).where("n", ">", 9).keys() == ["high"]
    assert await store.where(Q("s", "=", "a") | Q("s", "=", "A")).keys() == ["low", "mid"]
    assert await store.where(Q("b", "=", True) & ~Q("tags", "contains", "x")).keys() == ["mid"]
    assert await store.where(~(Q("s", "exists") & Q("b", "=", True))).keys() == ["empty", "low"]
    assert await store.where(Q("s", "=", "a") | Q("n", "=", 9)).where("b", "=", True).keys() == ["mid"]
    assert await store.all().where_not(Q("s", "=", "a") | Q("s", "=", "A")).keys() == ["empty", "high"]


def test_joining_with_the_wrong_words_is_refused() -> None:
    with pytest.raises(TypeError, match=r"&, \| and ~"):
        _ = Q("a", "=", 1) and Q("b", "=", 1)
    with pytest.raises(TypeError):
        _ = Q("a", "=", 1) | True
    assert "secret" not in repr(Q("a", "=", "secret"))


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("==", "did you mean '='"),
        ("starts with", "did you mean 'startswith'"),
        ("IN", "unknown operator"),
        ("like", "known:"),
    ],
)
def test_an_unknown_operator_is_named_with_the_nearest(adapter: Any, op: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Store(adapter, "notes", indexes=INDEXES).where("s", op, "a")


def test_an_unknown_field_is_named_with_the_nearest_and_how_to_index_it(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"topic": str})
    for call in (
        lambda: store.where("topik", "=", "a"),
        lambda: store.all().order_by("topik"),
        lambda: store.aggregate(n=_sum("topik")),
        lambda: store.aggregate(n=_sum("topic")).group_by("topik"),
    ):
        with pytest.raises(SchemaError, match=r"'topik'; did you mean 'topic'.*indexes=.*allow_scan=True"):
            call()


def _sum(field: str) -> Any:
    from daystore import Sum

    return Sum(field)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("s", "=", None), TypeError),
        (("s", "="), TypeError),
        (("s",), TypeError),
        (("s", "=", b"a"), TypeError),
        (("s", "=", object), TypeError),
        (("s", "startswith", 1), TypeError),
        (("tags", "contains", ["x"]), TypeError),
        (("t", "<", datetime(2026, 1, 1)), ValueError),  # noqa: DTZ001 - a naive one is what is refused
        (("f", "<", math.nan), ValueError),
        (("f", "in", [math.inf]), ValueError),
        (("s", "=", "\ud800"), ValueError),
        ((1, "=", "a"), TypeError),
        ((Q("s", "=", "a"), "="), TypeError),
    ],
    ids=repr,
)
def test_what_cannot_be_compared_is_refused_at_once(adapter: Any, arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        Store(adapter, "notes", indexes=INDEXES).where(*arguments)


async def test_values_are_data(adapter: Any) -> None:
    store = Store(adapter, "notes", indexes={"a' OR '1'='1": str})
    await store.set("k", {"a' OR '1'='1": "x' OR '1'='1"})
    await store.set("l", {})
    assert await store.where("a' OR '1'='1", "=", "x' OR '1'='1").keys() == ["k"]
    assert await store.where("a' OR '1'='1", "=", "%").keys() == []
    with pytest.raises(TypeError):
        store.where("a' OR '1'='1", "=", {"$gt": ""})
