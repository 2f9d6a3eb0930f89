"""Capabilities: what is declared is served, what is not is refused before anything happens."""

from __future__ import annotations

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    KEEP,
    STRONG,
    Aggregate,
    Aggregation,
    Consistency,
    Function,
    Query,
    bounded,
)
from daystore.errors import UnsupportedOperation
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

LEVELS = {"eventual": EVENTUAL, "bounded": bounded(0), "strong": STRONG}


@case("cap.conditional.refused", undeclared={"conditional"})
async def conditional_refused(env: Env) -> None:
    """Without conditional writes every condition is refused, and nothing of its batch is written."""
    records = env.records()
    version = await records.put("a", b"1")
    for options in ({"if_version": version}, {"if_absent": True}):
        for key in ("a", "new"):
            with raises(UnsupportedOperation) as caught:
                await records.put(key, b"2", **options)
            assert (caught.error.capability, caught.error.backend) == ("conditional", env.adapter.name)
    with raises(UnsupportedOperation):
        await records.delete("a", if_version=version)
    with raises(UnsupportedOperation):
        await records.write(records.a_put("first"), records.a_put("new", expect=ABSENT))
    await records.expect({"a": b"1"}, "new", "first")


@case("cap.atomic_batch.refused", undeclared={"atomic_batch"})
async def atomic_batch_refused(env: Env) -> None:
    """Without atomic batches one is refused, never applied piece by piece."""
    records = env.records()
    await records.put("a", b"1")
    for operations in ([records.a_put("b")], [records.a_put("b"), records.a_delete("a")]):
        with raises(UnsupportedOperation) as caught:
            await records.write(*operations, atomic=True)
        assert caught.error.capability == "atomic_batch"
    with raises(UnsupportedOperation):
        await env.adapter.set_batch([records.a_put("b")], atomic=True)
    with raises(UnsupportedOperation):
        await env.adapter.delete_batch(records.name, ["a"], atomic=True)
    await records.expect({"a": b"1"}, "b")


@case("cap.transactions.refused", undeclared={"transactions"})
async def transactions_refused(env: Env) -> None:
    """Without transactions none can be begun."""
    with raises(UnsupportedOperation) as caught:
        env.adapter.transaction()
    assert caught.error.capability == "transactions"


@case("cap.ttl.refused", undeclared={"ttl"})
async def ttl_refused(env: Env) -> None:
    """Without expiry a deadline is refused, and nothing is written that would never end."""
    records = env.records()
    await records.put("a", b"0")
    await records.put("a", b"1", expires_at=KEEP)  # there is none to keep, and an update asks for it
    for key in ("a", "new"):
        with raises(UnsupportedOperation) as caught:
            await records.put(key, b"2", expires_at=env.clock.deadline(60))
        assert caught.error.capability == "ttl"
    with raises(UnsupportedOperation):
        await records.write(records.a_put("first"), records.a_put("new", expires_at=env.clock.deadline(60)))
    await records.expect({"a": b"1"}, "new", "first")


@case("cap.query.refused", undeclared={"query"})
async def query_refused(env: Env) -> None:
    """Without queries query, count and explain are refused, instead of finding nothing."""
    records = env.records()
    await records.put("a", fields={"f": 1})
    for operation in (env.adapter.query, env.adapter.count, env.adapter.explain):
        with raises(UnsupportedOperation) as caught:
            await operation(Query(records.name))
        assert caught.error.capability == "query"
    await records.expect({"a": b"value"})


@case("cap.aggregate.refused", undeclared={"aggregate"})
async def aggregate_refused(env: Env) -> None:
    """Without aggregation it is refused, instead of computing over nothing."""
    records = env.records()
    await records.put("a")
    with raises(UnsupportedOperation) as caught:
        await env.adapter.aggregate(Query(records.name), Aggregation({"n": Aggregate(Function.COUNT)}))
    assert caught.error.capability == "aggregate"


@case("con.refused")
async def consistency_refused(env: Env) -> None:
    """A consistency that is not declared is refused by every operation that reads, never weakened."""
    records = env.records()
    await records.put("a")
    query, count = Query(records.name), Aggregation({"n": Aggregate(Function.COUNT)})
    for name, level in LEVELS.items():
        if name in env.capabilities.consistency:
            continue
        with raises(UnsupportedOperation):
            await env.adapter.read(records.name, ["a"], level)
        with raises(UnsupportedOperation):
            await env.adapter.get_batch(records.name, ["a"], level)
        with raises(UnsupportedOperation):
            await env.adapter.query(query, level)
        with raises(UnsupportedOperation):
            await env.adapter.count(query, level)
        with raises(UnsupportedOperation):
            await env.adapter.aggregate(query, count, level)
    with raises(UnsupportedOperation):
        await env.adapter.read(records.name, ["a"], Consistency("nonsense"))  # type: ignore[arg-type] # on purpose


@case("con.strong_after_write", requires={"query", "aggregate"})
async def strong_after_write(env: Env) -> None:
    """Every declared consistency answers, and the strong one sees each write, from any adapter."""
    records = env.records()
    reader = await env.second() if "second" in env.target.hooks else env.adapter
    query, count = Query(records.name), Aggregation({"n": Aggregate(Function.COUNT)})
    assert "eventual" in env.capabilities.consistency
    for number in range(20):
        await records.put(f"k{number:02}")
        version = await records.put("same")
        for name in sorted(env.capabilities.consistency):
            level = LEVELS[name]
            found = await reader.get(records.name, "same", level)
            listed = len((await reader.query(query, level)).records)
            counted = await reader.count(query, level)
            rows = await reader.aggregate(query, count, level)
            if name == "strong":
                assert found is not None
                assert found.version == version
                assert listed == counted == rows[0].values["n"] == number + 2


@case("cap.limits")
async def limits(env: Env) -> None:
    """The declared limits allow what the contract promises of every backend."""
    declared = env.capabilities.limits
    assert 0 < declared.ttl_resolution <= 0.001
    for limit in (declared.max_value_bytes, declared.max_batch, declared.max_atomic_ops):
        assert limit is None or limit > 0
    assert env.capabilities.consistency <= set(LEVELS)
    if env.capabilities.transactions:
        assert env.capabilities.atomic_batch
        assert env.capabilities.conditional
