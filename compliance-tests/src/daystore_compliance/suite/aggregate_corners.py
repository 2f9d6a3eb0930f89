"""Aggregation where lists, pairs, names and sizes meet."""

from __future__ import annotations

import math
from typing import Final

from daystore.abc import Aggregate, Compare, FieldValue, Function, Not, Op, Or
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.model import Row, aggregate, compare_groups, matches
from daystore_compliance.suite.aggregation import every

COUNT: Final = {"n": Aggregate(Function.COUNT)}


@case("agg.lists", requires={"aggregate"})
async def lists(env: Env) -> None:
    """A record with a list counts once, however many of its elements match; equal lists are one group."""
    records = env.records()
    values: tuple[FieldValue, ...] = (
        *(
            ("a",),
            ("a", "a"),
            ("a", "b"),
            ("b", "a"),
            ("a,b",),
            ("a", "b"),
            ("b", "b", "a"),
            (),
            ("",),
            ("", ""),
        ),
        *(("[a]",), ("a", "", "b")),
    )
    rows = [Row(f"k{index:02}", {"l": value, "n": index}) for index, value in enumerate(values)] + [
        Row("none", {"n": 99})
    ]
    await records.fill({row.key: row.fields for row in rows})
    a, b = Compare("l", Op.CONTAINS, "a"), Compare("l", Op.CONTAINS, "b")
    functions = every("n") | {"lists": Aggregate(Function.COUNT, "l")}
    for where in (
        None,
        a,
        Or((a, b)),
        Not(a),
        Compare("l", Op.EXISTS, True),
        Or((a, Compare("n", Op.LT, 5))),
    ):
        kept = [row for row in rows if matches(where, row)]
        for group_by in ((), ("l",)):
            found = await records.aggregate(functions, group_by, where)
            compare_groups(found, aggregate(kept, functions, group_by))


@case("agg.pairs", requires={"aggregate"})
async def pairs(env: Env) -> None:
    """Groups by two fields are told apart by both, either may be missing, and the first one orders them."""
    records = env.records()
    texts = ("a", "a|b", "b", "", "b|", "a,b", "None", "\0", "1")
    rows = [
        Row(f"{x}-{y}", {"f": texts[x], "g": texts[y]}) for x in range(len(texts)) for y in range(len(texts))
    ]
    rows += [Row("f", {"f": "a"}), Row("g", {"g": "a"}), Row("neither"), Row("int", {"f": "a", "g": 1})]
    await records.fill({row.key: row.fields for row in rows})
    for group_by in (("f", "g"), ("g", "f")):
        found = await records.aggregate(COUNT, group_by)
        compare_groups(found, aggregate(rows, COUNT, group_by))
        told = [
            tuple((value is not None, isinstance(value, str), value) for value in row.group) for row in found
        ]
        assert told == sorted(told)


@case("agg.float_exact", requires={"aggregate"})
async def float_exact(env: Env) -> None:
    """A sum of floats is rounded once, at its end, in whatever order they are added."""
    for numbers in (
        [0.1] * 10,
        [1e16, 1.0, -1e16],
        [1e300, 1.0, -1e300, 1e-300],
        [2.0**53, 1.0, 1.0],
        [0.1, 0.2, 0.3, -0.6],
    ):
        records = env.records()
        await records.fill({f"k{index}": {"x": number} for index, number in enumerate(numbers)})
        values = (await records.aggregate({"sum": Aggregate(Function.SUM, "x")}))[0].values
        assert values == {"sum": math.fsum(numbers)}


@case("agg.aliases", requires={"aggregate"})
async def aliases(env: Env) -> None:
    """The name of a result is data: any text, also the name of a field, of a group, or one in another case."""
    records = env.records()
    await records.fill({"a": {"f": "x", "n": 1}, "b": {"f": "x", "n": 2}, "c": {"f": "y", "n": 3}})
    names = (
        "f",
        "F",
        "n",
        "N",
        "key",
        "sum",
        "SUM",
        "count(*)",
        "a b",
        "a'",
        'a"',
        "a.b",
        "$a",
        "; --",
        "\u00e9",
        "",
        "1",
    )
    functions = {
        name: Aggregate((Function.SUM, Function.MAX)[index % 2], "n") for index, name in enumerate(names)
    }
    for group_by in ((), ("f",)):
        found = await records.aggregate(functions, group_by)
        rows = [Row("a", {"f": "x", "n": 1}), Row("b", {"f": "x", "n": 2}), Row("c", {"f": "y", "n": 3})]
        compare_groups(found, aggregate(rows, functions, group_by))


@case("agg.extremes", requires={"aggregate"})
async def extremes(env: Env) -> None:
    """Minimum and maximum follow the order of values: code points, exact integers, exact instants."""
    records = env.records()
    values: tuple[FieldValue, ...] = (
        "a",
        "B",
        "b",
        "A",
        "\u00e9",
        "z",
        2**53,
        2**53 + 1,
        -(2**53),
        -(2**53) - 1,
        0.5,
        True,
    )
    rows = [
        Row(f"k{index:02}", {"f": value, "kind": type(value).__name__}) for index, value in enumerate(values)
    ]
    await records.fill({row.key: row.fields for row in rows})
    for where in (None, Compare("f", Op.LT, "a"), Compare("f", Op.GE, "B"), Compare("f", Op.LE, "b")):
        kept = [row for row in rows if matches(where, row)]
        for group_by in ((), ("kind",)):
            found = await records.aggregate(every("f"), group_by, where)
            compare_groups(found, aggregate(kept, every("f"), group_by))


@case("agg.groups_many", requires={"aggregate"})
async def groups_many(env: Env) -> None:
    """A group for each of 1,200 records comes back, each once, in order."""
    records = env.records()
    await records.fill({f"k{number:04}": {"g": 1200 - number} for number in range(1200)})
    found = await records.aggregate(COUNT, ["g"])
    assert [(row.group, row.values) for row in found] == [((number,), {"n": 1}) for number in range(1, 1201)]
