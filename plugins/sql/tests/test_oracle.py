"""Whatever the reference adapter answers, this one answers, to the record and to the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daystore.abc import (
    EVENTUAL,
    Aggregate,
    Aggregation,
    Compare,
    Function,
    Op,
    Or,
    Predicate,
    Put,
    Query,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.adapters.memory import MemoryAdapter
from daystore_sql.adapter import SQLAdapter

from .conftest import START, TestClock
from .oracle import aggregations, operations, predicates, queries, same_rows, told, visible

T = TypeVar("T")


class Pair:
    """The same data in both adapters, a collection for each example."""

    def __init__(self, path: Path) -> None:
        self.clock = TestClock()
        self.sql = SQLAdapter.from_url(f"sqlite:///{path}", clock=self.clock, timeout=None)
        self.memory = MemoryAdapter(clock=self.clock, timeout=None)
        self.runner = asyncio.Runner()
        self._count = 0

    def fill(self, changes: list[Operation]) -> str:
        self._count += 1
        name = f"c{self._count}"
        self.clock.now = START
        for change in changes:
            self.clock.now += 1
            batch = WriteBatch([replace(change, collection=name)])
            ours, theirs = self.run(self.sql._write(batch)), self.run(self.memory._write(batch))
            assert told(ours) == told(theirs)
        self.clock.now = START + 1000  # some have expired now
        return name

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


PATHS = {
    "sorting": {},
    "walking": {"daystore_sql.planning.ENOUGH": -1},  # no set is small enough to be sorted
    "evaluating": {"daystore_sql.predicate.MAX_LEAVES": -1},  # every predicate is too large for a statement
}


@pytest.fixture(scope="module", params=PATHS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("oracle") / "oracle.db")
    with pytest.MonkeyPatch.context() as patch, pair.runner:
        for name, value in PATHS[request.param].items():
            patch.setattr(name, value)
        pair.run(pair.sql.open())
        pair.run(pair.memory.open())
        yield pair
        pair.run(pair.sql.close())


many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(st.lists(operations(), max_size=14), queries())
def test_queries_and_counts(pair: Pair, changes: list[Operation], query: Query) -> None:
    query = replace(query, collection=pair.fill(changes))
    ours, theirs = pair.run(pair.sql.query(query)), pair.run(pair.memory.query(query))
    assert ours == theirs
    assert pair.run(pair.sql.count(query)) == pair.run(pair.memory.count(query))


def test_an_offset_beyond_all_numbers_of_the_database_finds_nothing(pair: Pair) -> None:
    name = pair.fill([Put("things", "a", b"", fields={"f": 0})])
    where = Or((Compare("f", Op.EQ, 0), Compare("f", Op.EXISTS, True)))
    for limit in (None, 10**30):
        assert pair.run(pair.sql.query(Query(name, where, limit=limit, offset=10**30))).records == []
        assert len(pair.run(pair.sql.query(Query(name, where, limit=limit))).records) == 1


@many
@given(st.lists(operations(), max_size=14), queries(), st.integers(1, 4))
def test_cursor_walks(pair: Pair, changes: list[Operation], query: Query, size: int) -> None:
    query = replace(query, collection=pair.fill(changes), limit=size, offset=0)
    seen = []
    page = query
    for _ in range(20):
        ours, theirs = pair.run(pair.sql.query(page)), pair.run(pair.memory.query(page))
        assert ours == theirs
        seen += [record.key for record in ours.records]
        if ours.cursor is None:
            break
        page = replace(query, cursor=ours.cursor)
    everything = pair.run(pair.memory.query(replace(query, limit=None)))
    assert seen == [record.key for record in everything.records]


@many
@given(st.lists(operations(), max_size=14), st.none() | predicates, aggregations)
def test_aggregations(
    pair: Pair, changes: list[Operation], where: Predicate | None, aggregation: Aggregation
) -> None:
    query = Query(pair.fill(changes), where=where)
    ours = pair.run(pair.sql.aggregate(query, aggregation))
    theirs = pair.run(pair.memory.aggregate(query, aggregation))
    assert same_rows(ours, theirs), (ours, theirs)


@pytest.mark.parametrize(
    ("computed", "grouped"), [(64, 0), (150, 2), (3, 64), (130, 20), (130, 21), (0, 100)]
)
def test_aggregations_over_more_fields_than_one_statement_can_join(
    pair: Pair, computed: int, grouped: int
) -> None:
    """SQLite joins 64 tables at most."""
    fields: dict[str, Any] = {f"f{n}": n if n % 3 else n / 8 for n in range(150)}
    some = {name: value for n, (name, value) in enumerate(fields.items()) if n % 2} | {"f0": ("a", "b")}
    changes: list[Operation] = [Put("things", f"k{n}", b"", fields=(fields, some)[n % 2]) for n in range(5)]
    functions = {
        f"{function.value} {name}": Aggregate(function, name)
        for name in ("f0", "missing", "key", *(f"f{149 - n}" for n in range(computed)))
        for function in Function
    }
    functions |= {f"again {name}": aggregate for name, aggregate in functions.items()}
    group_by = tuple(f"f{n}" for n in range(grouped))
    query = Query(pair.fill(changes), where=Compare("key", Op.GE, "k1"))
    for names in (functions, ["sum f0", "again avg f0"]):
        one = {"records": Aggregate(Function.COUNT), **{name: functions[name] for name in names}}
        ours = pair.run(pair.sql.aggregate(query, Aggregation(one, group_by)))
        theirs = pair.run(pair.memory.aggregate(query, Aggregation(one, group_by)))
        assert len(theirs) == (2 if grouped else 1)
        assert same_rows(ours, theirs)
        assert [list(row.values) for row in ours] == [list(row.values) for row in theirs]


@pytest.mark.parametrize("fields", [1, 30])
def test_the_same_functions_many_times(pair: Pair, fields: int) -> None:
    """SQLite gives 2,000 columns at most."""
    changes: list[Operation] = [Put("things", "k", b"", fields={f"f{n}": n for n in range(fields)})]
    functions = {f"a{n}": Aggregate(Function.SUM, f"f{n % fields}") for n in range(3000)}
    (row,) = pair.run(pair.sql.aggregate(Query(pair.fill(changes)), Aggregation(functions)))
    assert row.values == {f"a{n}": n % fields for n in range(3000)}


@many
@given(st.lists(operations(), max_size=14), st.lists(operations(), max_size=8))
def test_reads_and_batches(pair: Pair, changes: list[Operation], more: list[Operation]) -> None:
    name = pair.fill(changes)
    batch = WriteBatch(list({o.key: replace(o, collection=name) for o in more}.values()))
    ours, theirs = pair.run(pair.sql._write(batch)), pair.run(pair.memory._write(batch))
    assert told(ours) == told(theirs)
    keys = [*{o.key for o in changes}, *{o.key for o in more}, "missing"]

    def read(adapter: SQLAdapter | MemoryAdapter, some: list[str]) -> list[object]:
        return visible(pair.run(adapter._read(name, some, EVENTUAL)), pair.clock.now)

    assert read(pair.sql, keys) == read(pair.memory, keys)
    for key in keys:
        assert read(pair.sql, [key]) == read(pair.memory, [key])
    held = [pair.run(adapter._prepared(name)) for adapter in (pair.sql, pair.memory)]
    one, other = (sorted((n, r.key, r.intent) for n, r in found) for found in held)
    assert one == other
