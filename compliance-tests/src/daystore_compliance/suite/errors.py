"""Errors: always those of the contract, whatever is asked for."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from daystore.abc import (
    Aggregate,
    Aggregation,
    Compare,
    Consistency,
    FieldValue,
    Function,
    Op,
    Order,
    Predicate,
    Query,
)
from daystore.abc.query import And, Not, Or
from daystore.errors import (
    DaystoreError,
    InvalidCursor,
    InvalidKey,
    LimitExceeded,
    SerializationError,
    StoreClosed,
    TransactionClosed,
    TransactionConflict,
    UnsupportedOperation,
    VersionConflict,
)
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.transacting import put, value

Attempt = Callable[[], Awaitable[object]]


# --- The tree of errors --------------------------------------------------------------------------------------

RETRYABLE: Final = {VersionConflict, TransactionConflict}


def _refusals(env: Env, records: Records) -> dict[str, tuple[type[Exception], Attempt]]:
    """Return what goes wrong by the caller's own doing, and the exact class of its error."""
    adapter, name = env.adapter, records.name
    far = 2**70
    odd: Any = 1
    data: Any = b"x"
    return {
        "conflict": (VersionConflict, lambda: records.put("k", if_version="stale")),
        "taken": (VersionConflict, lambda: records.put("k", if_absent=True)),
        "conflict in an atomic batch": (
            VersionConflict,
            lambda: records.write(records.a_put("l"), records.a_check("k", "stale"), atomic=True),
        ),
        "damaged cursor": (InvalidCursor, lambda: records.page(cursor="garbage")),
        "cursor of no text": (InvalidCursor, lambda: records.page(cursor="\ud800\0")),
        "empty key": (InvalidKey, lambda: records.get("")),
        "long key": (InvalidKey, lambda: records.put("k" * 257)),
        "surrogate in a key": (InvalidKey, lambda: records.delete("\ud800")),
        "collection": (InvalidKey, lambda: adapter.get("Not A Name", "k")),
        "key of no text": (TypeError, lambda: records.get(odd)),
        "value of no bytes": (TypeError, lambda: records.put("k", "text")),  # type: ignore[arg-type]
        "field of no type": (SerializationError, lambda: records.put("k", fields={"f": data})),
        "field that is not finite": (
            SerializationError,
            lambda: records.put("k", fields={"f": float("inf")}),
        ),
        "wide integer": (LimitExceeded, lambda: records.put("k", fields={"f": far})),
        "long field": (
            LimitExceeded,
            lambda: records.put("k", fields={"f": "x" * (env.capabilities.limits.max_field_bytes + 1)}),
        ),
        "level": (UnsupportedOperation, lambda: adapter.get(name, "k", Consistency("newest"))),  # type: ignore[arg-type]
        "negative limit": (ValueError, lambda: records.page(limit=-1)),
        "value of a condition": (TypeError, lambda: records.page(Compare("f", Op.EQ, data))),
    }


@case("err.taxonomy", requires={"query", "conditional", "atomic_batch"})
async def taxonomy(env: Env) -> None:
    """What is asked wrongly is exactly the error of the contract, says what has failed, and changes nothing."""
    records = env.records()
    await records.fill(["k", "m"])
    before = await records.state("l")
    for what, (kind, attempt) in _refusals(env, records).items():
        with raises(kind) as caught:
            await attempt()
        error = caught.error
        if isinstance(error, DaystoreError):
            _expect_told(env, error, what)
        assert [record.version for record in (await records.state("l")).values()] == [
            record.version for record in before.values()
        ], f"something changed: {what}"
    closed = await env.open(env.namespace + "-closed")
    await closed.close()
    with raises(StoreClosed) as after:
        await closed.get(records.name, "k")
    _expect_told(env, after.error, "closed")
    assert (after.error.retryable, after.error.backend) == (False, env.adapter.name)


def _expect_told(env: Env, error: DaystoreError, what: str) -> None:
    assert error.retryable is (type(error) in RETRYABLE), what
    assert error.backend in (None, env.adapter.name), f"another backend is blamed: {what}"
    assert error.operation is None or re.fullmatch(r"[a-z_]+", error.operation), what
    assert error.message, f"an error without words: {what}"
    if isinstance(error, VersionConflict):
        assert (error.backend, error.operation) == (env.adapter.name, "write"), what
        assert (error.key, type(error.current)) == ("k", str), what
        assert type(error.index) is int, what
    if isinstance(error, LimitExceeded):
        assert error.backend == env.adapter.name, what
        assert type(error.limit) is str, what
        assert (error.actual or 0) > (error.maximum or 0), what
    if isinstance(error, UnsupportedOperation):
        assert error.backend == env.adapter.name, what
        assert error.capability, what


@case("err.causes", requires={"transactions", "query"})
async def causes(env: Env) -> None:
    """An error that is made of another one has it as its cause."""
    records, store = env.records(), env.store()
    await records.put("k")
    with raises(TransactionConflict) as conflict:
        async with records.adapter.transaction() as tx:
            await value(tx, records, "k")
            await put(tx, records, "l")
            await records.put("k", b"faster")
    assert type(conflict.error.__cause__) is VersionConflict
    assert (conflict.error.backend, conflict.error.operation) == (env.adapter.name, "commit")
    with raises(TransactionClosed):
        await value(tx, records, "k")
    await store.set("n", 1)

    async def disturbed(number: int) -> int:
        await env.reading(store).set("n", number + 1)
        return number

    with raises(VersionConflict) as given_up:
        await store.update("n", disturbed, deadline=0)
    assert type(given_up.error.__cause__) is VersionConflict
    assert given_up.error.key == "n"


# --- Whatever is asked for -----------------------------------------------------------------------------------


def _extremes(env: Env, records: Records) -> dict[str, tuple[Attempt, Any]]:
    """Return what drivers have refused in words of their own, each with its right answer."""
    name, adapter = records.name, env.adapter
    far, many = 2**70, env.scale(1_200, 5_000)
    deep: Predicate = Compare("n", Op.EQ, 1)
    for _ in range(200):
        deep = Not(deep)
    wide: dict[str, FieldValue] = {f"f{number}": number for number in range(300)}
    ranges = tuple(Compare("n", Op.GE, -number) for number in range(many))
    equals = tuple(Compare("n", Op.EQ, number) for number in range(many))

    async def keys(query: Query) -> list[str]:
        return [record.key for record in (await adapter.query(query)).records]

    async def written(**options: Any) -> bool:
        await records.put("odd", **options)
        return await records.delete("odd")

    async def read(number: int) -> int:
        return sum(one is not None for one in await records.read(*(f"k{n}" for n in range(number))))

    return {
        "limit": (lambda: keys(Query(name, limit=far)), ["k0", "k1", "k2"]),
        "limit and offset": (lambda: keys(Query(name, limit=2**63 - 1, offset=1)), ["k1", "k2"]),
        "offset": (lambda: keys(Query(name, offset=far)), []),
        "integers beyond 64 bits": (lambda: records.count(Compare("n", Op.LT, far)), 3),
        "integers below 64 bits": (lambda: records.keys(Compare("n", Op.IN, (-far, 1, far))), ["k1"]),
        "many values": (lambda: records.count(Compare("n", Op.IN, tuple(range(33_000)))), 3),
        "many joined by and": (lambda: records.count(And(ranges)), 3),
        "many joined by or": (lambda: records.count(Or(equals)), 3),
        "deeply nested": (lambda: records.keys(deep), ["k1"]),
        "many fields": (lambda: written(fields=wide), True),
        "many keys": (lambda: read(11_000), 3),
        "odd names": (lambda: records.count(Compare("a\"b'`;\0%s:x?[]", Op.EXISTS, True)), 0),
        "odd order": (lambda: records.keys(by=Order("x\"'`\0--", descending=True)), ["k0", "k1", "k2"]),
        "long text": (lambda: records.count(Compare("s", Op.EQ, "x" * 200_000)), 0),
        "long prefix": (lambda: records.count(Compare("s", Op.STARTSWITH, "x" * 200_000)), 0),
        "long media type": (lambda: written(content_type="a/" + "x" * 10_000), True),
        "nowhere": (lambda: keys(Query("nowhere", Compare("x", Op.EQ, 1))), []),
        "read from nowhere": (lambda: adapter.read("nowhere", ["x"]), [None]),
        "count nowhere": (lambda: adapter.count(Query("nowhere")), 0),
        "delete from nowhere": (lambda: adapter.delete_batch("nowhere", ["x", "y"]), 0),
    }


async def _answer(attempt: Attempt, env: Env, what: str) -> object:
    """Return an answer, or the `LimitExceeded` that a backend may raise instead."""
    try:
        return await attempt()
    except LimitExceeded as error:
        return error if error.backend == env.adapter.name else "LimitExceeded of another backend"
    except Exception as error:
        told = f"{what}: {type(error).__name__}, which is no answer and no limit"
        raise AssertionError(told) from error


@case("err.extremes", requires={"query"})
async def extremes(env: Env) -> None:
    """What is larger than a driver expects is answered rightly or LimitExceeded, never an error of the driver."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n, "s": f"s{n}"} for n in range(3)})
    attempts = _extremes(env, records)
    for what, (attempt, expected) in attempts.items():
        answer = await _answer(attempt, env, what)
        assert isinstance(answer, LimitExceeded) or answer == expected, f"a wrong answer to {what}"
    await records.expect({f"k{n}": f"k{n}".encode() for n in range(3)}, "odd")


@case("err.extremes_aggregated", requires={"query", "aggregate"})
async def extremes_aggregated(env: Env) -> None:
    """An aggregation of many functions and groups is answered rightly or LimitExceeded, also over nothing."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n, "s": f"s{n}"} for n in range(3)})
    total = Aggregate(Function.SUM, "n")
    groups = tuple(f"g{number}" for number in range(20))
    for what, aggregation, collection, expected in (
        ("functions", Aggregation({f"a{n}": total for n in range(30)}), records.name, [3] * 30),
        ("groups", Aggregation({"a": total}, groups), records.name, [3]),
        ("nowhere", Aggregation({"a": total}), "nowhere", [0]),
        ("odd names", Aggregation({"a\"'`;\0": total}), records.name, [3]),
    ):
        rows = await _answer(partial(env.adapter.aggregate, Query(collection), aggregation), env, what)
        if not isinstance(rows, LimitExceeded):
            assert isinstance(rows, list), what
            assert [one for row in rows for one in row.values.values()] == expected, what
