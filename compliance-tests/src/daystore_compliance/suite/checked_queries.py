"""What a batch depends on: checks elsewhere, the order and number of its queries, and what expires meanwhile."""

from __future__ import annotations

from daystore.abc import ABSENT, CheckQuery, Compare, Op, Order, Query, WriteBatch
from daystore.abc.record import Operation
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records

NEEDS = {"atomic_batch", "conditional", "transactions", "query"}


async def _checked(records: Records, query: Query) -> CheckQuery:
    """Run a query, and make the check that it finds the same again."""
    page = await records.adapter.query(query)
    return CheckQuery(query, [(record.key, record.version) for record in page.records])


@case("batch.query_order", requires=NEEDS)
async def query_order(env: Env) -> None:
    """A checked query has to find the same keys in the same order: the same ones in another are a conflict."""
    records = env.records()
    await records.fill({"a": {"n": 3}, "b": {"n": 1}, "c": {"n": 1}, "d": {"n": 2}})
    for query in (
        records.query(),
        records.query(by=Order("n", descending=True)),
        records.query(Compare("n", Op.LE, 2), "n", limit=2),
    ):
        check = await _checked(records, query)
        found = list(check.found)
        assert len(found) > 1
        for wrong in (found[::-1], found[1:] + found[:1], found[:-1], [*found, found[0]]):
            with raises(VersionConflict) as caught:
                await records.write(records.a_put("new"), atomic=True, queries=[CheckQuery(query, wrong)])
            assert caught.error.key is None
            assert await records.get("new") is None, "a batch in conflict was applied"
        await records.write(records.a_put("z", fields={"n": 9}), atomic=True, queries=[check])
        assert await records.delete("z") is True


@case("batch.query_each", requires=NEEDS)
async def query_each(env: Env) -> None:
    """Of several checked queries on a collection each one is judged, and a batch that fails deletes nothing."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(5)})
    for stale in range(5):
        checks = [await _checked(records, records.query(Compare("n", Op.EQ, n))) for n in range(5)]
        assert [len(check.found) for check in checks] == [1] * 5
        await records.put(f"k{stale}", fields={"n": stale})
        with raises(VersionConflict):
            await records.write(
                records.a_delete("k4"),
                records.a_put("new"),
                records.a_delete("k0"),
                atomic=True,
                queries=checks,
            )
        assert await records.keys() == [f"k{n}" for n in range(5)], f"query {stale} of 5 was not judged"
        assert await records.get("new") is None, f"query {stale} of 5 was not judged"
    checks = [await _checked(records, records.query(Compare("n", Op.EQ, n))) for n in range(5)]
    await records.write(records.a_delete("k4"), records.a_put("new"), atomic=True, queries=checks)
    assert await records.keys() == ["k0", "k1", "k2", "k3", "new"]


@case("batch.check_elsewhere", requires={"atomic_batch", "conditional"})
async def check_elsewhere(env: Env) -> None:
    """A check is judged in whatever collection it is, also in one that the batch does not write to."""
    written, checked, empty = env.records(), env.records(), env.records()
    version = await checked.put("there")
    holds = [
        checked.a_check("there", version),
        checked.a_check("missing", ABSENT),
        empty.a_check("k", ABSENT),
    ]
    fails = [
        checked.a_check("there", ABSENT),
        checked.a_check("missing", version),
        empty.a_check("k", version),
    ]
    for index, wrong in enumerate(fails):
        checks = [*holds[:index], wrong, *holds[index + 1 :]]
        new = written.a_put("new")
        batches: tuple[list[Operation], ...] = ([new, *checks], [*checks, new], [*checks])
        for operations in batches:
            with raises(VersionConflict) as caught:
                await env.adapter.write(WriteBatch(operations, atomic=True))
            assert (caught.error.collection, caught.error.key) == (wrong.collection, wrong.key)
            assert await written.get("new") is None, "a batch in conflict was applied"
    await env.adapter.write(WriteBatch([written.a_put("new"), *holds], atomic=True))
    assert await written.value("new") == b"new"
    assert (await checked.must_get("there")).version == version, "a check has changed what it looked at"


@case("ttl.checked_query", requires=NEEDS | {"ttl"})
async def checked_query(env: Env) -> None:
    """A record that a checked query found and that has expired since is a conflict; one expired before is not."""
    records = env.records()
    soon = env.clock.deadline(5)
    await records.put("brief", fields={"n": 1}, expires_at=soon)
    await records.put("lasting", fields={"n": 1})
    queries = [
        records.query(Compare("n", Op.EQ, 1)),
        records.query(by=Order("n", descending=True), limit=1),
        records.query(limit=1),
    ]
    before = [await _checked(records, query) for query in queries]
    assert all("brief" in dict(check.found) for check in before)
    env.clock.move_to(soon)
    for check in before:
        with raises(VersionConflict):
            await records.write(records.a_put("new"), atomic=True, queries=[check])
        assert await records.get("new") is None, "a batch in conflict was applied"
    after = [await _checked(records, query) for query in queries]
    assert all(list(dict(check.found)) == ["lasting"] for check in after)
    await records.write(records.a_put("new"), atomic=True, queries=after)
    assert await records.value("new") == b"new"


@case("del.born_again", requires={"query"})
async def born_again(env: Env) -> None:
    """A record that is deleted and written again at once is a new one, created when it was written again."""
    records = env.records()
    ways = ("alone", "batch", "atomic") if env.capabilities.atomic_batch else ("alone", "batch")
    for way in ways:
        for apart in (0, 1, 999, 1_000, 999_999, 1_000_000):
            first = env.clock()
            await records.put("k", fields={"n": 1})
            await records.put("kept", fields={"n": 1})
            env.clock.advance(3)
            if way == "alone":
                assert await records.delete("k") is True
            else:
                await records.write(records.a_delete("k"), records.a_delete("none"), atomic=way == "atomic")
            env.clock.move_to(env.clock() + apart)
            again = env.clock()
            await records.write(records.a_put("k"), records.a_put("kept"), atomic=way == "atomic")
            found = await records.state("k", "kept")
            assert (found["k"].created_at, found["k"].updated_at) == (again, again), (
                f"{way}, {apart} us apart"
            )
            assert (found["kept"].created_at, found["kept"].updated_at) == (first, again)
            assert [await records.delete(key) for key in ("k", "kept")] == [True, True]
            env.clock.advance(3)
