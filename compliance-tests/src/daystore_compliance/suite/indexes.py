"""Indexes: they find what a scan would find, and what is called indexed does not look at everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from daystore.abc import Compare, FieldValue, Op, Order, Predicate, Query, StorageAdapter
from daystore.abc.query import And, Or
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.crashing import Lines
from daystore_compliance.env import Env
from daystore_compliance.records import Records


@case("q.secondary_index_consistency", requires={"query", "conditional", "atomic_batch"})
async def secondary_index_consistency(env: Env) -> None:
    """After overwrites, deletes, conflicts and batches that failed, every index finds what a scan would find."""
    records = env.records()
    await records.put("k0", fields=_some_fields(env))
    await records.delete("k0")
    empty = await _raw(env)
    model: dict[str, dict[str, FieldValue]] = {}
    for _ in range(env.scale(4, 20)):
        for _ in range(25):
            await _change(env, records, model)
        await _expect_indexes(records, model)
    assert model, "there is nothing to be found"
    await env.adapter.delete_batch(records.name, list(model))
    assert await _raw(env) == empty, "an index keeps entries of what is gone"


async def _raw(env: Env) -> tuple[int, int] | None:
    if "raw" not in env.target.hooks:
        return None
    raw = await env.target.raw(env.adapter)
    return raw.records, raw.entries


def _some_fields(env: Env) -> dict[str, FieldValue]:
    """Choose fields from few values, so that records share them; a field may be missing, or of another type."""
    choice = env.random.choice
    fields: dict[str, FieldValue | None] = {
        "f": choice((None, 0, 1, 2, "1", True, 1.0)),
        "g": choice((None, "a", "b", "ab")),
        "tags": choice((None, (), ("a",), ("a", "b"), ("b", "b"))),
    }
    return {name: one for name, one in fields.items() if one is not None}


async def _change(env: Env, records: Records, model: dict[str, dict[str, FieldValue]]) -> None:
    """Do something to one record; everything but a write and a delete fails."""
    key, fields = f"k{env.random.randrange(12)}", _some_fields(env)
    how = env.random.choice(("put", "put", "put", "delete", "stale", "taken", "batch", "pieces"))
    if how == "put":
        await records.put(key, key.encode(), fields=fields)
        model[key] = fields
    elif how == "delete":
        assert await records.delete(key) is (model.pop(key, None) is not None)
    elif how == "stale":
        with raises(VersionConflict):
            await records.put(key, key.encode(), fields=fields, if_version="stale")
    elif how == "taken":
        await records.put(key, key.encode(), fields=fields)
        with raises(VersionConflict):
            await records.put(key, key.encode(), fields=_some_fields(env), if_absent=True)
        model[key] = fields
    else:
        batch = [records.a_put(key, fields=fields), records.a_put("never", fields=fields, expect="stale")]
        if how == "batch":
            with raises(VersionConflict):
                await records.write(*batch, atomic=True)
        else:
            wrote, failed = await records.write(*batch)
            assert wrote.error is None
            assert type(failed.error) is VersionConflict
            model[key] = fields


async def _expect_indexes(records: Records, model: dict[str, dict[str, FieldValue]]) -> None:
    await records.expect(
        {key: b"value" if await records.value(key) == b"value" else key.encode() for key in model}
    )
    for field, probes in {"f": (0, 1, 2, "1", True, 1.0), "g": ("a", "b", "ab")}.items():
        for probe in probes:
            where: Predicate = Compare(field, Op.EQ, probe)
            keys = [k for k in sorted(model) if _same(model[k].get(field), probe)]
            assert await records.keys(where) == keys, "an index finds something else than a scan would"
            assert await records.count(where) == len(keys)
    for item in ("a", "b"):
        keys = [k for k in sorted(model) if item in _tags(model[k])]
        assert await records.keys(Compare("tags", Op.CONTAINS, item)) == keys
    for field in ("f", "g", "tags"):
        keys = [k for k in sorted(model) if field in model[k]]
        assert await records.keys(Compare(field, Op.EXISTS, True)) == keys
        assert sorted(await records.keys(by=Order(field, descending=True))) == sorted(model)


def _same(one: FieldValue | None, other: FieldValue) -> bool:
    return type(one) is type(other) and one == other


def _tags(fields: Mapping[str, FieldValue]) -> tuple[str, ...]:
    tags = fields.get("tags", ())
    assert isinstance(tags, tuple)
    return tags


# --- Explain -------------------------------------------------------------------------------------------------

FOUND: Final = 5
SELECTIVE: Final[dict[str, Predicate]] = {
    "equal": Compare("n", Op.EQ, 1),
    "range": Compare("rank", Op.LT, FOUND),
    "startswith": Compare("s", Op.STARTSWITH, "rare"),
    "in": Compare("n", Op.IN, (1, -1)),
    "contains": Compare("tags", Op.CONTAINS, "rare"),
    "exists": Compare("rare", Op.EXISTS, True),
    "key": Compare("key", Op.LT, f"k{FOUND:06}"),
    "and": And((Compare("n", Op.EQ, 1), Compare("s", Op.STARTSWITH, "rare"))),
    "or": Or((Compare("n", Op.EQ, 1), Compare("rank", Op.EQ, 0))),
}
"""Conditions that `FOUND` records of a collection fulfil, however many there are."""


@case("q.explain_truth", requires={"query"}, needs={"second"})
async def explain_truth(env: Env) -> None:
    """A query that is called indexed does not look at more records when there are more that it does not find."""
    small, large = 100, 100 + env.scale(400, 5_000)
    collections = {size: env.records() for size in (small, large)}
    for size, records in collections.items():
        await records.fill({f"k{number:06}": _ranked(number) for number in range(size)})
    queries = [
        [Query(records.name, where, order=order, limit=FOUND) for records in collections.values()]
        for where in SELECTIVE.values()
        for order in (
            (Order(), Order("rank", descending=True)) if where is SELECTIVE["equal"] else (Order(),)
        )
    ]
    indexed = [sizes for sizes in queries if all([await _is_indexed(env.adapter, query) for query in sizes])]
    lines = Lines()
    with lines.counting():
        adapter = await env.second()
        lines.arm()
        for sizes in indexed:
            cost = [await _cost(lines, adapter, query) for query in sizes]
            assert cost[1] - cost[0] < (large - small) / 4, "called indexed, and looks at every record"
        await adapter.close()


def _ranked(number: int) -> dict[str, FieldValue]:
    rare: dict[str, FieldValue] = {"rare": True} if number < FOUND else {}
    kind = "rare" if rare else "usual"
    return {"n": 1 if rare else 2, "rank": number, "s": f"{kind}{number}", "tags": (kind,), **rare}


async def _is_indexed(adapter: StorageAdapter, query: Query) -> bool:
    """Tell whether a query is called indexed, having run it once: the first time costs more."""
    found = await adapter.query(query)
    assert sorted(record.key for record in found.records) == [f"k{number:06}" for number in range(FOUND)]
    return (await adapter.explain(query)).indexed


async def _cost(lines: Lines, adapter: StorageAdapter, query: Query) -> int:
    """Return how many lines of Python a query takes: the least of several, as what else is at work only adds."""
    costs = []
    for _ in range(4):
        before = lines.count
        await adapter.query(query)
        costs.append(lines.count - before)
    return min(costs)
