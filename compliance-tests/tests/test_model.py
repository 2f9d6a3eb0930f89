"""The model against answers known by hand, and against the library's evaluator on the tables of the suite."""

from datetime import UTC, datetime

import pytest

from daystore.abc import (
    Aggregate,
    And,
    Compare,
    FieldValue,
    Function,
    GroupRow,
    Not,
    Op,
    Or,
    Order,
    Query,
    Record,
)
from daystore.abc.evaluate import evaluate_query
from daystore.abc.query import Predicate
from daystore_compliance.families import FAMILIES, PREFIXES
from daystore_compliance.model import Row, aggregate, compare_groups, matches, select
from daystore_compliance.suite.predicates import VARIANTS
from daystore_compliance.tables import rows_of

ROW = Row(
    "k", {"i": 1, "f": 1.0, "s": "one", "b": True, "l": ("a", "b"), "e": ()}, created_at=5, updated_at=6
)
MOMENT = datetime(1970, 1, 1, 0, 0, 0, 6, tzinfo=UTC)

TRUE: list[Predicate] = [
    Compare("i", Op.EQ, 1),
    Compare("i", Op.IN, (2, 1)),
    Compare("i", Op.LE, 1),
    Compare("i", Op.GE, 1),
    Compare("s", Op.STARTSWITH, "o"),
    Compare("s", Op.STARTSWITH, ""),
    Compare("l", Op.CONTAINS, "b"),
    Compare("e", Op.EXISTS, True),
    Compare("key", Op.EQ, "k"),
    Compare("updated_at", Op.EQ, MOMENT),
    Not(Compare("none", Op.EQ, 1)),
    And(()),
    Or((Compare("i", Op.EQ, 2), Compare("b", Op.EQ, True))),
]
FALSE: list[Predicate] = [
    Compare("i", Op.EQ, 1.0),
    Compare("i", Op.EQ, True),
    Compare("i", Op.EQ, "1"),
    Compare("i", Op.IN, ()),
    Compare("i", Op.LT, 1),
    Compare("i", Op.GT, 1),
    Compare("i", Op.LT, 5.0),
    Compare("i", Op.STARTSWITH, "1"),
    Compare("s", Op.CONTAINS, "o"),
    Compare("l", Op.CONTAINS, ""),
    Compare("l", Op.EQ, "a"),
    Compare("none", Op.EXISTS, True),
    Compare("none", Op.LE, 1),
    Compare("created_at", Op.EQ, MOMENT),
    Or(()),
    And((Compare("i", Op.EQ, 1), Compare("i", Op.EQ, 2))),
]


@pytest.mark.parametrize("predicate", TRUE, ids=str)
def test_true(predicate: Predicate) -> None:
    assert matches(predicate, ROW)
    assert not matches(Not(predicate), ROW)


@pytest.mark.parametrize("predicate", FALSE, ids=str)
def test_false(predicate: Predicate) -> None:
    assert not matches(predicate, ROW)
    assert matches(Not(predicate), ROW)


def test_order_is_missing_bool_int_float_datetime_str() -> None:
    values: list[FieldValue] = ["b", "a", MOMENT, 0.5, -0.5, 10, 9, True, False]
    rows = [Row(str(index), {"v": value}) for index, value in enumerate(values)]
    rows += [Row("m"), Row("l", {"v": ("x",)})]
    assert select(rows, None, "v") == ["l", "m", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    assert select(rows, None, "v", descending=True) == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "l", "m"]


def test_aggregates_known_by_hand() -> None:
    rows = [Row("a", {"g": 1, "n": 2**63}), Row("b", {"g": True, "n": 2**63}), Row("c", {"n": 0.5})]
    functions = {function.value: Aggregate(function, "n") for function in Function}
    found = aggregate(rows, functions)[()]
    assert (found["count"], found["sum"], found["min"], found["max"]) == (3, 2.0**64, 2**63, 0.5)
    groups = aggregate(rows, functions, ["g"])
    assert set(groups) == {(("int", 1),), (("bool", True),), (("NoneType", None),)}
    assert groups[("int", 1),]["sum"] == 2**63
    assert aggregate([], functions)[()] == {"count": 0, "sum": 0, "avg": None, "min": None, "max": None}
    assert aggregate([], functions, ["g"]) == {}


def test_groups_are_compared_with_their_types() -> None:
    expected = {(("int", 1),): {"sum": 3}}
    compare_groups([GroupRow((1,), {"sum": 3})], expected)
    for wrong in (
        [GroupRow((True,), {"sum": 3})],
        [GroupRow((1,), {"sum": 3.0})],
        [GroupRow((1,), {"sum": 4})],
        [GroupRow((1,), {})],
        [],
        [GroupRow((1,), {"sum": 3}), GroupRow((1,), {"sum": 3})],
    ):
        with pytest.raises(AssertionError):
            compare_groups(wrong, expected)


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_is_not_vacuous_and_the_evaluator_agrees(name: str) -> None:
    """Two judges written apart agree, and each variant of the matrix parts the records."""
    rows = [Row(key, fields) for key, fields in rows_of().items()]
    records = [Record(row.key, b"", "v", 0, 0, fields=row.fields) for row in rows]
    parts = 0
    for predicate in VARIANTS[name]:
        for where in (predicate, Not(predicate)):
            for descending in (False, True):
                page = evaluate_query(records, Query("c", where, order=Order("f", descending)))
                assert [r.key for r in page.records] == select(rows, where, "f", descending=descending)
        parts += 0 < len(select(rows, predicate)) < len(rows)
    assert parts > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_family_is_distinct_and_within_the_rules(name: str) -> None:
    keys = FAMILIES[name]
    assert len(set(keys)) == len(keys) >= 12
    assert all(0 < len(key.encode()) <= 256 for key in keys)


@pytest.mark.parametrize("topic", PREFIXES)
def test_prefixes_have_hits_and_decoys(topic: str) -> None:
    for prefix, found, decoys in PREFIXES[topic]:
        assert len(found) >= 2 or prefix == "a$"
        assert decoys
        assert all(key.startswith(prefix) for key in found)
        assert not any(key.startswith(prefix) for key in decoys)
