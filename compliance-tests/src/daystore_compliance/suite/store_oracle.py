"""Random questions to a store, by builder and by filter, over its indexes and over what no index holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import reduce
from operator import and_, or_
from types import SimpleNamespace
from typing import Any, Final

from hypothesis import given

from daystore import Avg, Count, Max, Min, Q, QueryFilter, Sum
from daystore.abc import And, Compare, FieldValue, Not, Op, Predicate, from_instant
from daystore.stores import Store
from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.model import Row, aggregate, compare_groups, matches, select
from daystore_compliance.questions import KEYS, Chance, Question
from daystore_compliance.suite.query_oracle import CHANCES

INDEXES: Final = {"s": str, "n": int, "x": float, "b": bool, "t": datetime, "l": list[str]}
PATH: Final = "d.e"
"""A path into a value, that no index holds."""


def _value(fields: dict[str, FieldValue]) -> dict[str, Any]:
    """Make the value whose indexes are these fields, with the mixed one at the end of a path."""
    value: dict[str, Any] = {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
    if PATH in value:
        value["d"] = {"e": value.pop(PATH)}
    return {**value, **({} if "s" in value else {"s": None})}


def _renamed(name: str) -> str:
    return PATH if name == "m.n" else name


def _in_store(predicate: Predicate | None) -> Any:
    """Rename the mixed field, and compare floats with floats, as an index of floats does."""
    if predicate is None:
        return None
    if isinstance(predicate, Not):
        return Not(_in_store(predicate.term))
    if not isinstance(predicate, Compare):
        return type(predicate)(tuple(map(_in_store, predicate.terms)))
    value: Any = predicate.value
    if predicate.field == "x":
        value = tuple(map(_float, value)) if isinstance(value, tuple) else _float(value)
    return replace(predicate, field=_renamed(predicate.field), value=value)


def _float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _condition(predicate: Predicate) -> Any:
    """Write a predicate as a user does."""
    if isinstance(predicate, Not):
        return ~_condition(predicate.term)
    if not isinstance(predicate, Compare):
        joined = isinstance(predicate, And)
        everything = Q("key", "exists", True)
        terms = [_condition(term) for term in predicate.terms]
        return reduce(and_ if joined else or_, terms, everything if joined else ~everything)
    value = list(predicate.value) if isinstance(predicate.value, tuple) else predicate.value
    return Q(predicate.field, predicate.op.value, value)


@case("q.oracle_store", requires={"query", "aggregate"})
def store_oracle(env: Env, run: Any) -> None:
    """Any question to a store has the model's answer, in every form that a builder and a filter offer."""

    @env.seeded
    @env.hypothesis(2, 60)
    @given(CHANCES)
    def agree(chance: Chance) -> None:
        run(_ask(env, chance))

    agree()


async def _ask(env: Env, chance: Chance) -> None:
    store, begin = env.store(indexes=INDEXES), env.clock()
    rows: dict[str, Row] = {}
    for _ in range(2):
        written, deleted, wait = chance.step()
        fields = {k: {_renamed(n): v for n, v in row.items()} for k, (row, _) in written.items()}
        await store.set_batch({key: _value(row) for key, row in fields.items()})
        await store.delete_batch(deleted)
        for key, row in fields.items():
            created = rows[key].created_at if key in rows else env.clock()
            rows[key] = Row(key, row, b"", created, env.clock())
        rows = {key: row for key, row in rows.items() if key not in deleted}
        env.clock.advance(microseconds=wait)
    reader = env.reading(store, indexes=INDEXES)
    for _ in range(12):
        question = chance.question().since(begin)
        question = replace(
            question,
            where=_in_store(question.where),
            by=_renamed(question.by),
            of=_renamed(question.of),
            group_by=tuple(map(_renamed, question.group_by)),
        )
        try:
            await _judge(reader, question, list(rows.values()))
            await _judge_filter(reader, chance, list(rows.values()))
        except AssertionError as error:
            raise AssertionError(f"{error}\nasked was {question}") from error


async def _judge(store: Store[Any], question: Question, rows: list[Row]) -> None:
    builder = store.all(allow_scan=True)
    if question.where is not None:
        builder = builder.where(_condition(question.where))
    builder = builder.order_by(question.by, "desc" if question.descending else "asc")
    expected = select(rows, question.where, question.by, descending=question.descending)
    assert await builder.keys() == expected
    assert await builder.count() == len(expected)
    values = {row.key: _value(dict(row.fields)) for row in rows}
    assert await builder.execute() == [values[key] for key in expected]
    limit, offset = question.limit, question.offset
    window = builder.limit(limit).offset(offset)
    within = expected[offset : offset + limit]
    assert await window.keys() == within
    assert await window.count() == len(expected)
    assert await window.first() == next((values[key] for key in within), None)
    assert [entry.key async for entry in store.scan(window)] == within
    assert [entry.key async for entry in builder.offset(offset).stream()] == expected[offset:]
    walked: list[Any] = []
    cursor = None
    while True:
        page = await builder.page(question.size, cursor)
        walked += page.items
        assert len(walked) <= len(expected), "pages repeat themselves"
        cursor = page.cursor
        if cursor is None:
            break
    assert walked == [values[key] for key in expected]
    await _judge_totals(window, question, rows)


async def _judge_totals(builder: Any, question: Question, rows: list[Row]) -> None:
    of = question.of
    functions: dict[str, Any] = {
        "of_count": Count(of),
        "of_sum": Sum(of),
        "of_avg": Avg(of),
        "of_min": Min(of),
        "of_max": Max(of),
    }
    functions |= {"of_records": Count(), "of_n": Sum("n")}
    compiled = {name: function.compile() for name, function in functions.items()}
    kept = [row for row in rows if matches(question.where, row)]
    totals = builder.aggregate(**functions)
    if not question.group_by:
        found = [SimpleNamespace(group=(), values=await totals.execute())]
    else:
        found = [
            SimpleNamespace(
                group=tuple(tuple(v) if isinstance(v := row.pop(n), list) else v for n in question.group_by),
                values=row,
            )
            for row in await totals.group_by(*question.group_by).execute()
        ]
    compare_groups(found, aggregate(kept, compiled, question.group_by))


async def _judge_filter(store: Store[Any], chance: Chance, rows: list[Row]) -> None:
    """Ask by prefix, tags, time and window at once."""
    pick = chance.random
    terms: list[Predicate] = []
    options: dict[str, Any] = {"tags": {}}
    if pick.random() < 0.5:
        options["prefix"] = pick.choice(KEYS)[: pick.randrange(1, 4)]
        terms.append(Compare("key", Op.STARTSWITH, options["prefix"]))
    row = pick.choice(rows) if rows else Row("")
    for name in ("s", "n", "b", "t"):
        if name in row.fields and pick.random() < 0.25:
            value: Any = row.fields[name]
            options["tags"][name] = value
            terms.append(Compare(name, Op.EQ, value))
    if row.fields.get("l") and pick.random() < 0.3:
        options["tags"]["l"] = list(row.fields["l"])  # type: ignore[arg-type]  # it is a tuple of str
        terms += [Compare("l", Op.CONTAINS, item) for item in options["tags"]["l"]]
    if rows and pick.random() < 0.4:
        options["time_field"] = pick.choice(("created_at", "updated_at"))
        edges = sorted(from_instant(pick.choice(rows).updated_at + pick.choice((0, 1))) for _ in range(2))
        options["time_range"] = tuple(edge if pick.random() < 0.8 else None for edge in edges)
        start, end = options["time_range"]
        terms += [Compare(options["time_field"], Op.GE, start)] if start else []
        terms += [Compare(options["time_field"], Op.LT, end)] if end else []
    limit, offset = pick.choice((None, None, 0, 1, 3)), pick.choice((0, 0, 1, 2))
    asked = QueryFilter(**options, limit=limit, offset=offset)
    expected = select(rows, And(tuple(terms)))
    within = expected[offset:][:limit]
    values = {row.key: _value(dict(row.fields)) for row in rows}
    assert await store.query(asked) == [values[key] for key in within], asked
    assert await store.count(asked) == len(expected), asked
    assert [entry.key async for entry in store.scan(asked)] == within, asked


@case("q.scan_large", requires={"query", "aggregate"})
async def scan_large(env: Env) -> None:
    """What no index holds is found among thousands of records, on every path, and paged to the end."""
    store = env.store(indexes={"n": int})
    size = 1150
    await store.set_batch(
        {f"{n:04}": {"n": n, "body": {"odd": n % 2, "rare": n % 383 == 382}} for n in range(size)}
    )
    rare = store.where("body.rare", "=", True, allow_scan=True)
    expected = [f"{n:04}" for n in (382, 765, 1148)]
    assert await rare.keys() == expected
    assert await rare.limit(2).keys() == expected[:2]
    assert await rare.offset(2).keys() == expected[2:]
    assert await rare.order_by("n", "desc").limit(1).keys() == expected[2:]
    assert await rare.count() == 3
    assert [entry.key async for entry in rare.stream()] == expected
    page = await rare.page(2)
    assert page.cursor is not None
    rest = await rare.page(2, page.cursor)
    assert ([value["n"] for value in rest.items], rest.cursor) == ([1148], None)
    odd = store.where("body.odd", "=", 1, allow_scan=True)
    assert await odd.aggregate(total=Sum("n"), n=Count()).execute() == {
        "total": size * size // 4,
        "n": size // 2,
    }
    assert len([entry async for entry in odd.limit(550).stream()]) == 550
    assert await odd.where("n", ">", size - 5).keys() == [f"{size - 3:04}", f"{size - 1:04}"]
