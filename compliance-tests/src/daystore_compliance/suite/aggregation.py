"""Aggregation: exact numbers, typed groups, and nothing counted that is not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from daystore.abc import Aggregate, Aggregation, And, Compare, FieldValue, Function, Not, Op, Order
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.model import Row, aggregate, compare_groups, matches
from daystore_compliance.tables import VALUES, fill_values

_MOMENT: Final = datetime(2026, 5, 1, tzinfo=UTC)


def every(name: str) -> dict[str, Aggregate]:
    """Make every function over one field, and a count of records."""
    functions = {function.value: Aggregate(function, name) for function in Function}
    return {**functions, "records": Aggregate(Function.COUNT)}


def _orders() -> dict[str, dict[str, FieldValue]]:
    return {
        f"k{n:02}": {
            "kind": ("chat", "task", "Chat", "")[n % 4],
            "n": n - 7,
            "x": n * 0.25,
            "ok": n % 3 == 0,
            "at": _MOMENT + timedelta(microseconds=n),
            "tags": ("a",) if n % 2 else ("a", "b"),
            **({"some": n} if n % 5 else {}),
        }
        for n in range(24)
    }


GROUPINGS: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "str": ("kind",),
    "bool": ("ok",),
    "int": ("some",),
    "float": ("x",),
    "datetime": ("at",),
    "list": ("tags",),
    "missing": ("never",),
    "two": ("kind", "ok"),
    "three": ("ok", "tags", "kind"),
    "created_at": ("created_at",),
    "key": ("key",),
}


@case("agg.oracle", requires={"aggregate"}, variants=GROUPINGS)
async def oracle(env: Env, group_by: tuple[str, ...]) -> None:
    """Every function over every type of field gives for each group what its records give by hand."""
    records = env.records()
    fields = _orders()
    await records.fill(fields)
    rows = [
        Row(key, values, created_at=env.clock(), updated_at=env.clock()) for key, values in fields.items()
    ]
    for name in ("n", "x", "some", "kind", "ok", "at", "tags", "never", "key", "updated_at"):
        functions = every(name)
        found = await records.aggregate(functions, group_by)
        compare_groups(found, aggregate(rows, functions, group_by))


@case("agg.where", requires={"aggregate"})
async def where(env: Env) -> None:
    """An aggregation looks at what its query finds, whatever the predicate."""
    records = env.records()
    fields = _orders()
    await records.fill(fields)
    rows = [Row(key, values) for key, values in fields.items()]
    functions = every("n")
    for predicate in (
        Compare("kind", Op.EQ, "chat"),
        Not(Compare("kind", Op.EQ, "chat")),
        Compare("tags", Op.CONTAINS, "b"),
        And((Compare("n", Op.GE, 0), Compare("ok", Op.EQ, False))),
        Compare("key", Op.STARTSWITH, "k1"),
        Compare("n", Op.GT, 1000),
    ):
        kept = [row for row in rows if matches(predicate, row)]
        for group_by in ((), ("kind",)):
            found = await records.aggregate(functions, group_by, predicate)
            compare_groups(found, aggregate(kept, functions, group_by))


@case("agg.exact_int", requires={"aggregate"})
async def exact_int(env: Env) -> None:
    """Sums of integers are exact integers beyond 2**53 and beyond 2**63, above and below zero."""
    for numbers in (
        [2**53, 1, 1],
        [2**53 + 1] * 3,
        [2**63 - 1] * 3,
        [-(2**63)] * 5,
        [2**63 - 1, -(2**63), 2**62 + 1],
        [2**63 - 1] * 50 + [1],
        [1_763_868_000_123_456_789] * 7,
    ):
        records = env.records()
        await records.fill({f"{index:02}": {"n": number} for index, number in enumerate(numbers)})
        rows = await records.aggregate(every("n"))
        assert [row.group for row in rows] == [()]
        values = rows[0].values
        assert type(values["sum"]) is int
        assert (values["sum"], values["min"], values["max"]) == (sum(numbers), min(numbers), max(numbers))
        assert type(values["avg"]) is float
        expected = sum(numbers) / len(numbers)
        assert abs(values["avg"] - expected) <= abs(expected) * 1e-12


@case("agg.empty", requires={"aggregate"})
async def empty(env: Env) -> None:
    """Nothing counts 0, sums to the integer 0, has no average, minimum or maximum, and makes no group."""
    records = env.records()
    nothing = {"count": 0, "sum": 0, "avg": None, "min": None, "max": None, "records": 0}
    for _ in range(2):
        rows = await records.aggregate(every("n"), where=Compare("n", Op.EQ, 99))
        assert [(row.group, row.values) for row in rows] == [((), nothing)]
        assert type(rows[0].values["sum"]) is int
        assert await records.aggregate(every("n"), ["n"], Compare("n", Op.EQ, 99)) == []
        await records.fill({"a": {"n": 1}, "b": {"m": 2}})
    rows = await records.aggregate(every("never"))
    assert [row.values for row in rows] == [{**nothing, "records": 2}]


@case("agg.groups_typed", requires={"aggregate"})
async def groups_typed(env: Env) -> None:
    """1, 1.0, "1", True and a missing field are five groups, each named by a value of its type."""
    records = env.records()
    values: tuple[FieldValue, ...] = (1, 1.0, "1", True, False, 0, 0.0, "", "0", ("1",), ())
    fields: dict[str, dict[str, FieldValue]] = {
        f"{index:02}-{copy}": {"g": value} for index, value in enumerate(values) for copy in range(2)
    }
    await records.fill(fields | {"missing": {}})
    rows = [Row(key, row) for key, row in fields.items()] + [Row("missing")]
    functions = {"n": Aggregate(Function.COUNT), "has": Aggregate(Function.COUNT, "g")}
    found = await records.aggregate(functions, ["g"])
    assert len(found) == len(values) + 1
    compare_groups(found, aggregate(rows, functions, ["g"]))


@case("agg.group_text", requires={"aggregate"})
async def group_text(env: Env) -> None:
    """Strings that differ at all are different groups: by case, accent, blank or NUL."""
    records = env.records()
    texts = ("a", "A", "a ", " a", "\u00e1", "a\u0301", "a\0", "", "\U0001f600", "\u00df", "ss", "%")
    await records.fill(
        {f"{index:02}-{copy}": {"g": text} for index, text in enumerate(texts) for copy in "xy"}
    )
    rows = await records.aggregate({"n": Aggregate(Function.COUNT)}, ["g"])
    assert [(row.group, row.values) for row in rows] == [
        ((text,), {"n": 2}) for text in sorted(texts, key=str.encode)
    ]


@case("agg.group_order", requires={"aggregate"})
async def group_order(env: Env) -> None:
    """Groups come in the order of their values: missing, bool, int, float, datetime, str, each ascending."""
    records = env.records()
    values: tuple[FieldValue, ...] = ("b", "a", 10, 9, -1, 0.5, -0.5, True, False, _MOMENT)
    await records.fill(
        {**{f"{n}": {"g": value, "h": n % 2} for n, value in enumerate(values)}, "missing": {"h": 0}}
    )
    found = [row.group for row in await records.aggregate({"n": Aggregate(Function.COUNT)}, ["g"])]
    expected = (None, False, True, -1, 9, 10, -0.5, 0.5, _MOMENT, "a", "b")
    assert [(type(group[0]), group[0]) for group in found] == [(type(value), value) for value in expected]
    pairs = [row.group for row in await records.aggregate({"n": Aggregate(Function.COUNT)}, ["h", "g"])]
    assert [pair[0] for pair in pairs] == [0] * 6 + [1] * 5


@case("agg.mixed", requires={"aggregate"})
async def mixed(env: Env) -> None:
    """Over mixed types each function takes what it is for: a sum skips text, a minimum the missing."""
    records = env.records()
    rows = await fill_values(records)
    tame = [row for row in rows if not (isinstance(row.get("f"), float) and abs(row.get("f")) > 2**53)]
    await env.adapter.delete_batch(records.name, {row.key for row in rows} - {row.key for row in tame})
    compare_groups(await records.aggregate(every("f")), aggregate(tame, every("f")))
    for kind in VALUES:
        where_kind = Compare("key", Op.STARTSWITH, kind)
        members = [row for row in tame if row.key.startswith(kind)]
        found = await records.aggregate(every("f"), where=where_kind)
        compare_groups(found, aggregate(members, every("f")))


@case("agg.sum_types", requires={"aggregate"})
async def sum_types(env: Env) -> None:
    """A sum of integers is an int, one with a float among them a float; truth values are not numbers."""
    records = env.records()
    await records.fill(
        {"a": {"i": 1, "f": 1.0, "m": 1, "b": True}, "b": {"i": 2, "f": 2.5, "m": 0.5, "b": True}}
    )
    for name, expected in (("i", 3), ("f", 3.5), ("m", 1.5), ("b", 0)):
        values = (await records.aggregate(every(name)))[0].values
        assert (type(values["sum"]), values["sum"]) == (type(expected), expected)
    values = (await records.aggregate(every("b")))[0].values
    assert (values["avg"], values["min"], values["max"], values["count"]) == (None, True, True, 2)


@case("agg.window_ignored", requires={"aggregate"})
async def window_ignored(env: Env) -> None:
    """Limit, offset, order and cursor of a query have no part in an aggregation."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(10)})
    aggregation = Aggregation({"n": Aggregate(Function.COUNT), "sum": Aggregate(Function.SUM, "n")})
    order = Order("n", descending=True)
    cursor = (await records.page(None, order, limit=3)).cursor
    windows: tuple[dict[str, Any], ...] = (
        {"limit": 0},
        {"limit": 2},
        {"offset": 4, "limit": 1},
        {"cursor": cursor},
    )
    for window in windows:
        rows = await env.adapter.aggregate(records.query(None, order, **window), aggregation)
        assert [row.values for row in rows] == [{"n": 10, "sum": 45}]


@case("agg.only_live", requires={"aggregate", "ttl"})
async def only_live(env: Env) -> None:
    """Expired, deleted and overwritten records, and those of other collections, are not aggregated."""
    records, other = env.records(), env.records()
    await records.fill({f"k{n}": {"g": "x", "n": 1} for n in range(4)})
    await other.fill({"k9": {"g": "x", "n": 1000}})
    await records.put("short", fields={"g": "y", "n": 100}, expires_at=env.clock.deadline(1))
    await records.put("k1", fields={"g": "z", "n": 5})
    await records.delete("k2")
    functions = {"n": Aggregate(Function.COUNT), "sum": Aggregate(Function.SUM, "n")}
    groups = {row.group[0]: row.values for row in await records.aggregate(functions, ["g"])}
    assert groups == {"x": {"n": 2, "sum": 2}, "y": {"n": 1, "sum": 100}, "z": {"n": 1, "sum": 5}}
    env.clock.advance(2)
    groups = {row.group[0]: row.values for row in await records.aggregate(functions, ["g"])}
    assert groups == {"x": {"n": 2, "sum": 2}, "z": {"n": 1, "sum": 5}}
    assert (await records.aggregate(functions))[0].values == {"n": 3, "sum": 7}


@case("agg.datetimes", requires={"aggregate"})
async def datetimes(env: Env) -> None:
    """Instants are grouped and compared as instants, whatever their time zone, and come back aware."""
    records = env.records()
    india = timezone(timedelta(hours=5, minutes=30))
    late = _MOMENT + timedelta(microseconds=1)
    await records.fill({"a": {"at": _MOMENT}, "b": {"at": _MOMENT.astimezone(india)}, "c": {"at": late}})
    rows = await records.aggregate({"n": Aggregate(Function.COUNT)}, ["at"])
    assert [(row.group, row.values["n"]) for row in rows] == [((_MOMENT,), 2), ((late,), 1)]
    values = (await records.aggregate(every("at")))[0].values
    assert (values["min"], values["max"], values["sum"], values["avg"]) == (_MOMENT, late, 0, None)


@case("agg.large", requires={"aggregate"})
async def large(env: Env) -> None:
    """Thousands of records and hundreds of groups are aggregated whole."""
    records = env.records()
    size = env.scale(3000, 20_000)
    await records.fill({f"{n:05}": {"g": n % 300, "n": n} for n in range(size)})
    functions = {"n": Aggregate(Function.COUNT), "sum": Aggregate(Function.SUM, "n")}
    assert (await records.aggregate(functions))[0].values == {"n": size, "sum": size * (size - 1) // 2}
    rows = await records.aggregate(functions, ["g"])
    assert [row.group for row in rows] == [(group,) for group in range(300)]
    assert sum(int(str(row.values["n"])) for row in rows) == size
