"""Two adapters on the same data: whatever one of them changes, the other sees on every way to look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from daystore.abc import (
    EVENTUAL,
    STRONG,
    Aggregate,
    Aggregation,
    Compare,
    Consistency,
    Function,
    Not,
    Op,
    Order,
    Predicate,
    Query,
    StorageAdapter,
)
from daystore_compliance.case import case
from daystore_compliance.env import Env

NEEDS: Final = {"query", "aggregate", "ttl", "conditional", "atomic_batch", "transactions"}
NAME: Final = "c0"
KEYS: Final = ("a", "b", "c")


async def _expect(adapter: StorageAdapter, level: Consistency, rows: dict[str, int]) -> None:
    """Expect records, by key and by the number in their field, on every way to look."""
    read = await adapter.read(NAME, KEYS, level)
    assert {r.key: r.fields["n"] for r in read if r} == rows, "a read finds something else"
    batch = await adapter.get_batch(NAME, KEYS, level)
    assert {key: r.fields["n"] for key, r in batch.items()} == rows, "get_batch finds something else"
    for key in KEYS:
        found = await adapter.get(NAME, key, level)
        assert (None if found is None else found.fields["n"]) == rows.get(key), "get finds something else"
        assert await adapter.exists(NAME, key, level) is (key in rows), "exists says something else"
    listed = (await adapter.query(Query(NAME), level)).records
    assert {r.key: r.fields["n"] for r in listed} == rows, "a query finds something else"
    falling = await adapter.query(Query(NAME, order=Order("n", descending=True), limit=2), level)
    assert [r.fields["n"] for r in falling.records] == sorted(rows.values(), reverse=True)[:2]
    for number in (1, 2, *rows.values()):
        where = Query(NAME, Compare("n", Op.EQ, number))
        expected = [key for key, n in rows.items() if n == number]
        assert [r.key for r in (await adapter.query(where, level)).records] == expected, "an index is behind"
        assert await adapter.count(where, level) == len(expected), "a count is behind"
    assert await adapter.count(Query(NAME), level) == len(rows), "the count of all is behind"
    total = Aggregation({"sum": Aggregate(Function.SUM, "n"), "n": Aggregate(Function.COUNT)})
    values = (await adapter.aggregate(Query(NAME), total, level))[0].values
    assert values == {"sum": sum(rows.values()), "n": len(rows)}, "an aggregate is behind"


async def _change(env: Env, adapter: StorageAdapter, turn: int, rows: dict[str, int]) -> None:
    """Do the next thing through one of the adapters."""
    records = env.records(NAME).through(adapter)
    key, number = KEYS[turn % 3], 10 + turn
    put: Any = {"fields": {"n": number}}
    match turn % 9:
        case 0:
            await records.put(key, **put)
        case 1:
            await records.write(*(records.a_put(k, **put) for k in KEYS))
            rows.update(dict.fromkeys(KEYS, number))
        case 2:
            await records.delete(key)
        case 3:
            await records.write(
                records.a_put(key, **put), records.a_delete(KEYS[(turn + 1) % 3]), atomic=True
            )
            rows.pop(KEYS[(turn + 1) % 3], None)
        case 4:
            await records.put(key, expires_at=env.clock.deadline(1), **put)
        case 5:
            env.clock.advance(2)
            rows.pop(KEYS[(turn - 1) % 3], None)
        case 6:
            async with adapter.transaction() as tx:
                await tx.read(NAME, KEYS)
                await tx.write([records.a_put(key, **put)])
        case 7:
            found = await adapter.get(NAME, key)
            options: dict[str, Any] = {"if_absent": True} if found is None else {"if_version": found.version}
            await records.put(key, **put, **options)
        case _:
            await adapter.delete_batch(NAME, KEYS)
            rows.clear()
    if turn % 9 in (0, 3, 4, 6, 7):
        rows[key] = number
    elif turn % 9 == 2:
        rows.pop(key, None)


@case("life.second_sees_everything", requires=NEEDS, needs={"second"})
async def second_sees_everything(env: Env) -> None:
    """Whatever one adapter changes, another one sees at once on every way to look, having looked before or not."""
    level = STRONG if "strong" in env.capabilities.consistency else EVENTUAL
    places = (env.adapter, await env.second())
    rows: dict[str, int] = {}
    for place in places:
        await _expect(place, level, rows)
    for turn in range(env.scale(28, 280)):
        await _change(env, places[turn % 2], turn, rows)
        rows = dict(sorted(rows.items()))
        await _expect(places[1 - turn % 2], level, rows)
        if turn % 4 == 0:
            await _expect(places[turn % 2], level, rows)


QUESTIONS: Final[dict[str, tuple[Callable[[str], Predicate], list[str]]]] = {
    "equal": (lambda name: Compare(name, Op.EQ, 1), ["a"]),
    "one_of": (lambda name: Compare(name, Op.IN, (1, 3)), ["a"]),
    "at_least": (lambda name: Compare(name, Op.GE, 1), ["a", "b"]),
    "there": (lambda name: Compare(name, Op.EXISTS, True), ["a", "b"]),
    "missing": (lambda name: Not(Compare(name, Op.EXISTS, True)), ["c"]),
    "other": (lambda name: Not(Compare(name, Op.EQ, 1)), ["b", "c"]),
}
"""What can be asked of a field whose values are 1, 2 and none, and the keys that it finds."""


@case("life.second_brings_fields", requires={"query"}, needs={"second"}, variants=QUESTIONS)
async def second_brings_fields(env: Env, question: tuple[Callable[[str], Predicate], list[str]]) -> None:
    """An adapter finds records by a field that only another one has ever written, having looked before or not."""
    level = STRONG if "strong" in env.capabilities.consistency else EVENTUAL
    where, expected = question
    for looked in (False, True):
        records, name = env.records(), f"brought{int(looked)}"
        await records.put("c", fields={"known": 1})
        other = await env.second()
        if looked:
            assert len((await other.query(Query(records.name, where("known")), level)).records) in (0, 1)
        await records.fill({"a": {name: 1}, "b": {name: 2}, "c": {"known": 2}})
        found = await other.query(Query(records.name, where(name)), level)
        assert [record.key for record in found.records] == expected
        assert await other.count(Query(records.name, where(name)), level) == len(expected)
