"""What is not there, and how it goes away."""

from __future__ import annotations

from daystore.abc import Aggregate, Function
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.records import Records


async def _expect_absent(records: Records, key: str) -> None:
    adapter = records.adapter
    assert await records.get(key) is None
    assert not await adapter.exists(records.name, key)
    assert await records.read(key, key) == [None, None]
    assert await adapter.get_batch(records.name, [key]) == {}
    assert await records.delete(key) is False
    assert await adapter.delete_batch(records.name, [key]) == 0


@case("miss.exists_agrees")
async def exists_agrees(env: Env) -> None:
    """What was never written is missing for every operation, and looking for it does not create it."""
    records = env.records()
    await _expect_absent(records, "key")
    await records.expect({}, "key")
    await records.put("other")
    await _expect_absent(records, "key")
    await records.expect({"other": b"value"}, "key")


@case("miss.empty_value")
async def empty_value(env: Env) -> None:
    """A record of zero bytes without fields is there like any other."""
    records = env.records()
    await records.put("key", b"")
    await records.expect({"key": b""})
    assert await records.delete("key") is True
    await records.expect({}, "key")


@case("miss.unknown_collection", requires={"query", "aggregate"})
async def unknown_collection(env: Env) -> None:
    """A collection in which nothing was written is empty, not an error."""
    records = env.records("never_written")
    await _expect_absent(records, "key")
    assert await records.keys() == []
    assert await records.count() == 0
    rows = await records.aggregate({"n": Aggregate(Function.COUNT)})
    assert [(row.group, row.values) for row in rows] == [((), {"n": 0})]


@case("miss.point_read_exact")
async def point_read_exact(env: Env) -> None:
    """Reading a key finds that key alone: none below it, and none that it matches as a pattern."""
    records = env.records()
    decoys = ("axb", "a/b", "a:b", "ab", "A_B", "a_b ", "a_b/c")
    await records.fill(decoys)
    for key in ("a_b", "a", "a%b", "a/", "a*", "a?b", "a.b", "", "a_b/")[:-2]:
        await _expect_absent(records, key)
    await records.expect({key: key.encode() for key in decoys}, "a_b", "a")


@case("del.returns_existed")
async def returns_existed(env: Env) -> None:
    """Delete says whether the record was there, each time anew."""
    records = env.records()
    assert await records.delete("key") is False
    await records.put("key")
    assert await records.delete("key") is True
    assert await records.delete("key") is False
    await records.expect({}, "key")


@case("del.only_exact", variants=("siblings", "like", "glob", "path", "delimiter"))
async def only_exact(env: Env, family: str) -> None:
    """Delete takes the record of that key alone, however many others it resembles."""
    records = env.records()
    keys = FAMILIES[family]
    await records.fill(keys)
    left = {key: key.encode() for key in keys}
    for key in keys:
        assert await records.delete(key) is True
        del left[key]
        await records.expect(left, key)


@case("del.other_collections")
async def other_collections(env: Env) -> None:
    """Delete leaves the record of the same key in every other collection alone."""
    first, second = env.records("first"), env.records("first_too")
    for records in (first, second):
        await records.fill(["a", "b"])
    await first.delete("a")
    await env.adapter.delete_batch(first.name, ["b"])
    await first.expect({}, "a", "b")
    await second.expect({"a": b"a", "b": b"b"})


@case("del.then_recreate")
async def then_recreate(env: Env) -> None:
    """A re-created record inherits nothing of the deleted one: no version, time, field or expiry."""
    records = env.records()
    deadline = env.clock.deadline(60) if env.capabilities.ttl else None
    old = await records.put("key", b"old", fields={"old": 1}, expires_at=deadline, content_type="a/b")
    await records.delete("key")
    now = env.clock.advance(1)
    new = await records.put("key", b"new")
    assert new != old
    record = (await records.state("key"))["key"]
    assert (record.value, record.version, dict(record.fields)) == (b"new", new, {})
    assert (record.created_at, record.updated_at, record.expires_at) == (now, now, None)
    assert record.content_type == "application/octet-stream"


@case("del.neighbours_untouched")
async def neighbours_untouched(env: Env) -> None:
    """Deleting changes nothing about the records that stay: neither their entries nor their order."""
    records = env.records()
    keys = [f"k{n}" for n in range(10)]
    await records.fill({key: {"n": index} for index, key in enumerate(keys)})
    before = await records.state(*keys)
    env.clock.advance(1)
    for key in keys[::3]:
        await records.delete(key)
    after = await records.state(*keys)
    assert list(after) == [key for key in keys if key not in keys[::3]]
    for key, record in after.items():
        assert_same_record(record, before[key], "state")
    await env.adapter.delete_batch(records.name, keys)
    await records.expect({}, *keys)
