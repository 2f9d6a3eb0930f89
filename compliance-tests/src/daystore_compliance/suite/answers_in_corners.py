"""Answers where the parts of a question are empty, few or far apart, and names that flow together."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from itertools import combinations
from typing import Any, Final

from daystore.abc import (
    Aggregate,
    And,
    Compare,
    FieldValue,
    Function,
    Not,
    Op,
    Or,
    Order,
    Predicate,
    Put,
    Query,
    WriteBatch,
)
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.model import Row, aggregate, compare_groups, matches, select

COUNT: Final = {"n": Aggregate(Function.COUNT)}


def _nested(leaves: tuple[Predicate, ...]) -> list[Predicate]:
    """Return every join of one or two of the leaves, and its complement."""
    pairs = [(a, b) for a in leaves for b in leaves]
    joins: list[Predicate] = [join(terms) for terms in pairs for join in (And, Or)]
    return [*joins, *(Not(join) for join in joins)]


@case("q.logic_empty_nested", requires={"query", "aggregate"})
async def logic_empty_nested(env: Env) -> None:
    """Inside other predicates too, an empty *and* is true, an empty *or* false, and *in* nothing false."""
    records = env.records()
    rows = [Row("a", {"n": 1}), Row("b", {"n": 2}), Row("c")]
    await records.fill({row.key: row.fields for row in rows})
    empty: tuple[Predicate, ...] = (And(()), Or(()), Compare("n", Op.IN, ()))
    leaves = (*empty, *map(Not, empty), Compare("n", Op.EQ, 1))
    nested = _nested(leaves)
    deeper = [join((term, Compare("n", Op.GE, 1))) for term in nested for join in (And, Or)]
    answers = set()
    for where in (*nested, *deeper[:: env.scale(9, 1)]):
        expected = [row.key for row in rows if matches(where, row)]
        assert await records.keys(where) == expected, repr(where)
        assert await records.count(where) == len(expected), repr(where)
        answers.add(tuple(expected))
    for where in deeper[:: env.scale(17, 3)]:
        expected = [row.key for row in rows if matches(where, row)]
        assert (await records.aggregate(COUNT, (), where))[0].values == {"n": len(expected)}, repr(where)
    assert len(answers) > 4, "the predicates all find the same"


@case("agg.mixed_exact", requires={"aggregate"})
async def mixed_exact(env: Env) -> None:
    """A sum of integers and floats is rounded once: not the integers first, nor the floats."""
    for numbers in (
        (2**53, 1, 0.5),
        (2**53 + 1, 1.0),
        (2**62 + 1, -float(2**62), 0.25),
        (2**63 - 1, 2**63 - 1, 1.0),
        (-(2**63), 2**63 - 1, 0.1, 0.2),
        (9_007_199_254_740_993, -9_007_199_254_740_992.0),
        (1, 2, 0.1, 0.2, 0.3),
        (2**53, 1, 1, 1, 1e-300),
    ):
        records = env.records()
        await records.fill({f"k{index}": {"x": number} for index, number in enumerate(numbers)})
        values = (await records.aggregate({"sum": Aggregate(Function.SUM, "x")}))[0].values
        expected = float(sum(map(Fraction, numbers)))
        assert type(values["sum"]) is float
        assert values == {"sum": expected}, f"the sum of {numbers}"


@case("agg.extremes_by_pairs", requires={"aggregate"})
async def extremes_by_pairs(env: Env) -> None:
    """Of any two types the least is of the lower, the greatest of the higher one, whatever their numbers."""
    values: dict[str, tuple[FieldValue, ...]] = {
        "bool": (True, False),
        "int": (5, -3, 2**53 + 1),
        "float": (0.5, -7.5, 4.0),
        "datetime": (datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, tzinfo=UTC)),
        "str": ("", "-9", "z"),
        "list": (("a",), ()),
    }
    records = env.records()
    members = [
        ("+".join(pair), one, value)
        for pair in combinations(values, 2)
        for one in pair
        for value in values[one]
    ]
    rows = [
        Row(f"{number:03}", {"f": value, "pair": pair, "one": one})
        for number, (pair, one, value) in enumerate(members)
    ]
    await records.fill({row.key: row.fields for row in rows})
    functions = {"least": Aggregate(Function.MIN, "f"), "most": Aggregate(Function.MAX, "f")}
    for group_by in (("pair",), ("one",), ("pair", "one"), ()):
        compare_groups(await records.aggregate(functions, group_by), aggregate(rows, functions, group_by))


@case("ns.joined_collections", requires={"query"})
async def joined_collections(env: Env) -> None:
    """A namespace and a collection are never taken for another pair whose names together read the same."""
    base = env.namespace + "y"
    pairs = [
        (base + tail, name)
        for tail in ("", "a", "_a", "_a_b", "a_", "__a")
        for name in ("a", "b", "a_b", "aa_b", "b_a", "a__a", "a_b_a")
    ]
    places = {namespace: await env.open(namespace) for namespace in dict.fromkeys(ns for ns, _ in pairs)}
    for number, (namespace, name) in enumerate(pairs):
        batch = WriteBatch([Put(name, "k", b"%d" % number), Put(name, f"own {number}", b"")])
        await places[namespace].write(batch)
    for number, (namespace, name) in enumerate(pairs):
        found = (await places[namespace].query(Query(name))).records
        assert {r.key: r.value for r in found} == {"k": b"%d" % number, f"own {number}": b""}, name
    for number, (namespace, name) in list(enumerate(pairs))[::2]:
        assert await places[namespace].delete_batch(name, ["k", f"own {number}"]) == 2
    for number, (namespace, name) in enumerate(pairs):
        assert await places[namespace].count(Query(name)) == (2 if number % 2 else 0), name


@case("cas.update_patch_shallow", requires={"conditional"})
async def update_patch_shallow(env: Env) -> None:
    """A patch replaces the items that it names, whole: a dict or list in it is not merged with the old one."""
    store = env.store()
    old = {"d": {"a": 1, "b": {"c": 2}}, "l": [1, 2], "s": {1}, "kept": {"x": 1}}
    patches: tuple[dict[str, object], ...] = (
        {"d": {"a": 9}},
        {"d": {}},
        {"d": {"b": {}}},
        {"d": None},
        {"l": []},
        {"l": [3]},
        {"s": {2}},
        {"d": {"kept": 1}, "l": {"a": 1}},
        {"new": {"d": 1}},
        {},
    )
    for patch in patches:
        await store.set("k", old)
        expected = {**old, **patch}
        assert await store.update("k", patch) == expected
        assert await env.reading(store).get("k") == expected


@case("page.zero_ties", requires={"query"})
async def zero_ties(env: Env) -> None:
    """The two zeros are one place in an order, and keys break their tie; after an offset the last page ends."""
    records = env.records()
    numbers = (0.0, -0.0, 0.0, -0.0, 1.0, -1.0, -0.0, 0.0)
    rows = [Row(f"k{index}", {"x": number}) for index, number in enumerate(numbers)]
    await records.fill({row.key: row.fields for row in rows})
    for descending in (False, True):
        keys = select(rows, None, "x", descending=descending)
        assert keys[1:-1] == ["k0", "k1", "k2", "k3", "k6", "k7"]
        order = Order("x", descending=descending)
        assert await records.keys(by=order) == keys
        for size in (1, 2, 3, 4, 7, 8):
            walked = [key for page in await records.walk(size, by=order) for key in page]
            assert walked == keys, f"pages of {size}"
            for offset in range(len(keys)):
                found = await records.page(by=order, limit=size, offset=offset)
                assert [record.key for record in found.records] == keys[offset : offset + size]
                assert (found.cursor is not None) is (offset + size < len(keys)), f"{size} after {offset}"
    zeros = ["k0", "k1", "k2", "k3", "k6", "k7"]
    for zero in (0.0, -0.0):
        assert await records.keys(Compare("x", Op.EQ, zero)) == zeros
        assert await records.keys(Compare("x", Op.IN, (zero,))) == zeros
        assert await records.keys(Compare("x", Op.LT, zero)) == ["k5"]
        assert await records.keys(Compare("x", Op.GT, zero)) == ["k4"]


@case("cas.update_default_kept", requires={"conditional"})
async def update_default_kept(env: Env) -> None:
    """The default of an update is a beginning: the function may change what it gets, never the default."""
    store = env.store()
    default = {"n": 0, "l": [[1]]}

    def grow(value: dict[str, Any]) -> dict[str, Any]:
        value["n"] += 1
        value["l"][0].append(2)
        value["l"].append([])
        return value

    for key in ("a", "b", "a"):
        await store.update(key, grow, default=default)
        assert default == {"n": 0, "l": [[1]]}, "the default was changed"
    assert await store.get("b") == {"n": 1, "l": [[1, 2], []]}
    assert await store.get("a") == {"n": 2, "l": [[1, 2, 2], [], []]}
