"""Batches: many records at once, each exactly as if alone, and atomic where asked."""

from __future__ import annotations

import asyncio
from typing import Any

from daystore.abc import ABSENT, ANY, Check, CheckQuery, Compare, Delete, Op, Order, Outcome, Put, WriteBatch
from daystore.errors import BatchError, LimitExceeded, SerializationError, VersionConflict
from daystore_compliance.case import Level, case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.overlapping import going_on


@case("batch.order")
async def order(env: Env) -> None:
    """Reading many keys answers in the order asked, not in the order of keys or of writing."""
    records = env.records()
    keys = [f"k{n}" for n in range(40)]
    await records.fill(keys[::2])
    for _ in range(5):
        env.random.shuffle(keys)
        found = await records.read(*keys)
        assert [r and r.key for r in found] == [k if int(k[1:]) % 2 == 0 else None for k in keys]
        batch = await env.adapter.get_batch(records.name, keys)
        assert list(batch) == [k for k in keys if int(k[1:]) % 2 == 0]
        assert [record.value for record in batch.values()] == [key.encode() for key in batch]


@case("batch.duplicates_read")
async def duplicates_read(env: Env) -> None:
    """A key asked for twice is answered twice by read, and is one entry of get_batch."""
    records = env.records()
    await records.fill(["a", "b"])
    found = await records.read("b", "a", "b", "missing", "b", "missing")
    assert [r and r.key for r in found] == ["b", "a", "b", None, "b", None]
    assert list(await env.adapter.get_batch(records.name, ["b", "a", "b", "missing", "missing"])) == [
        "b",
        "a",
    ]


@case("batch.duplicates_write")
async def duplicates_write(env: Env) -> None:
    """A batch that names a record twice is refused; the same key in two collections is two records."""
    records, other = env.records(), env.records()
    with raises(ValueError):
        await env.adapter.set_batch([records.a_put("a", b"1"), records.a_put("a", b"2")])
    with raises(ValueError):
        await records.write(records.a_put("a", b"1"), records.a_delete("a"))
    await records.expect({}, "a")
    await records.write(records.a_put("a", b"1"), other.a_put("a", b"2"))
    await records.expect({"a": b"1"})
    await other.expect({"a": b"2"})


@case("batch.empty")
async def empty(env: Env) -> None:
    """An empty batch does nothing and is no error."""
    records = env.records()
    await records.put("a")
    assert await env.adapter.read(records.name, []) == []
    assert await env.adapter.get_batch(records.name, []) == {}
    assert await env.adapter.set_batch([]) == []
    assert await env.adapter.delete_batch(records.name, []) == 0
    assert await env.adapter.write(WriteBatch([])) == []
    if env.capabilities.atomic_batch:
        assert await env.adapter.write(WriteBatch([], atomic=True)) == []
    await records.expect({"a": b"value"}, "b")


@case("batch.missing_marked")
async def missing_marked(env: Env) -> None:
    """Missing keys are None in their position for read, and absent from get_batch."""
    records = env.records()
    await records.fill(["b", "d"])
    found = await records.read("a", "b", "c", "d", "e")
    assert [r and r.value for r in found] == [None, b"b", None, b"d", None]
    assert list(await env.adapter.get_batch(records.name, ["a", "b", "c"])) == ["b"]
    assert await env.adapter.get_batch(records.name, ["a", "c"]) == {}


@case("batch.iterators")
async def iterators(env: Env) -> None:
    """Batches take any iterable, and consume it once."""
    records = env.records()
    keys = ["a", "b", "c"]
    versions = await env.adapter.set_batch(records.a_put(key) for key in keys)
    assert len(versions) == 3
    assert list(await env.adapter.get_batch(records.name, iter(keys))) == keys
    assert list(await env.adapter.get_batch(records.name, dict.fromkeys(keys))) == keys
    assert await env.adapter.delete_batch(records.name, (key for key in ["a", "missing", "c"])) == 2
    await records.expect({"b": b"b"}, "a", "c")


@case("batch.chunking")
async def chunking(env: Env) -> None:
    """Batches of any size are whole: nothing is lost, doubled or mixed up where a backend cuts them."""
    maximum = env.capabilities.limits.max_batch
    sizes = {1, 999, 1000, 1001, env.scale(1, 10_007)}
    if maximum is not None and maximum < 5000:
        sizes |= {maximum, maximum + 1, 2 * maximum + 1}
    else:
        sizes |= {2503}
    for size in sorted(sizes):
        records = env.records()
        keys = [f"{n:05}" for n in range(size)]
        env.random.shuffle(keys)
        puts = [records.a_put(key, fields={"n": int(key)}) for key in keys]
        assert await env.adapter.set_batch(puts) == [put.version for put in puts]
        found = await records.read(*keys)
        assert [(r.key, r.value, r.version) for r in found if r] == [
            (p.key, p.value, p.version) for p in puts
        ]
        if env.capabilities.query:
            assert await records.keys() == sorted(keys)
            assert await records.count(Compare("n", Op.GE, size // 2)) == size - size // 2
        assert await env.adapter.delete_batch(records.name, [*keys, "missing"]) == size
        await records.expect({}, *keys[:3])


@case("batch.over_existing")
async def over_existing(env: Env) -> None:
    """A batch creates and overwrites side by side, and writes what one by one would have written."""
    records, single = env.records(), env.records()
    for place in (records, single):
        await place.put("b", b"old", fields={"old": 1})
    env.clock.advance(1)
    fields: dict[str, Any] = {"n": 1, "l": ("x", "y")}
    await env.adapter.set_batch([records.a_put(key, fields=fields, content_type="a/b") for key in "cab"])
    for key in "cab":
        await single.put(key, key.encode(), fields=fields, content_type="a/b")
    state, alone = await records.state(*"abc"), await single.state(*"abc")
    assert list(state) == ["a", "b", "c"]
    for key, record in state.items():
        record.version = alone[key].version
        assert_same_record(record, alone[key], "set_batch")


@case("batch.version_per_item")
async def version_per_item(env: Env) -> None:
    """Each record of a batch has a version of its own, and the one that was returned for it."""
    records = env.records()
    seen: set[str] = set()
    for _ in range(3):
        versions = await env.adapter.set_batch([records.a_put(key, b"same") for key in ("c", "a", "b")])
        seen.update(versions)
        found = await records.read("c", "a", "b")
        assert [r and r.version for r in found] == versions
    assert len(seen) == 9


@case("batch.ttl_applies", requires={"ttl"})
async def own_entries(env: Env) -> None:
    """Fields, content type and expiry are those of each item, not of the first, the last or none."""
    records = env.records()
    soon, late = env.clock.deadline(1), env.clock.deadline(100)
    await env.adapter.set_batch(
        [
            records.a_put("a", expires_at=soon, fields={"n": 1}, content_type="t/a"),
            records.a_put("b"),
            records.a_put("c", expires_at=late, fields={"m": "x"}, content_type="t/c"),
        ]
    )
    state = await records.state("a", "b", "c")
    assert [(r.expires_at, dict(r.fields)) for r in state.values()] == [
        (soon, {"n": 1}),
        (None, {}),
        (late, {"m": "x"}),
    ]
    assert [r.content_type for r in state.values()] == ["t/a", "application/octet-stream", "t/c"]
    env.clock.move_to(soon)
    await records.expect({"b": b"b", "c": b"c"}, "a")


@case("batch.bad_item")
async def bad_item(env: Env) -> None:
    """One item that cannot be written keeps the whole batch from being written, wherever it stands."""
    records = env.records()
    await records.put("b", b"old")
    for place in range(3):
        puts = [records.a_put(key) for key in "abc"]
        puts[place].fields = {"bad": float("nan")}
        with raises(SerializationError):
            await env.adapter.set_batch(puts)
    await records.expect({"b": b"old"}, "a", "c")


@case("batch.outcomes")
async def outcomes(env: Env) -> None:
    """Write tells for each operation, in order, its new version and whether a record was there."""
    records = env.records()
    await records.fill(["here", "gone"])
    puts = [records.a_put("new"), records.a_put("here")]
    found = await records.write(puts[0], records.a_delete("gone"), puts[1], records.a_delete("missing"))
    assert found == [
        Outcome(puts[0].version, False),
        Outcome(None, True),
        Outcome(puts[1].version, True),
        Outcome(None, False),
    ]
    await records.expect({"here": b"here", "new": b"new"}, "gone", "missing")


@case("batch.delete_count")
async def delete_count(env: Env) -> None:
    """delete_batch counts the records that were there, not the keys asked for."""
    records = env.records()
    await records.fill(["a", "b", "c"])
    assert await env.adapter.delete_batch(records.name, ["a", "missing", "a", "c", "x"]) == 2
    assert await env.adapter.delete_batch(records.name, ["a", "c"]) == 0
    await records.expect({"b": b"b"}, "a", "c")


@case("batch.delete_literal", variants=("glob", "like", "format", "path"))
async def delete_literal(env: Env, family: str) -> None:
    """delete_batch takes the records of exactly these keys; none is a pattern, a path or an encoding."""
    records = env.records()
    keys = FAMILIES[family]
    await records.fill(keys)
    assert await env.adapter.delete_batch(records.name, keys[::2]) == len(keys[::2])
    await records.expect({key: key.encode() for key in keys[1::2]}, *keys[::2])
    assert await env.adapter.delete_batch(records.name, keys) == len(keys[1::2])
    await records.expect({}, *keys)


@case("batch.partial_report", requires={"conditional"})
async def partial_report(env: Env) -> None:
    """A batch that is not atomic applies what it can, and names exactly what failed and why."""
    records = env.records()
    await records.fill(["a", "b", "c"])
    versions = {key: (await records.must_get(key)).version for key in "abc"}
    puts = [
        records.a_put("new", b"1", expect=ABSENT),
        records.a_put("a", b"1", expect="stale"),
        records.a_put("b", b"1", expect=versions["b"]),
        records.a_put("c", b"1", expect=ABSENT),
    ]
    with raises(BatchError) as caught:
        await env.adapter.set_batch(puts)
    errors = caught.error.errors
    assert caught.error.failed == ("a", "c")
    assert [type(error) for error in errors.values()] == [VersionConflict, VersionConflict]
    assert {key: getattr(error, "current", None) for key, error in errors.items()} == {
        "a": versions["a"],
        "c": versions["c"],
    }
    await records.expect({"a": b"a", "b": b"1", "c": b"c", "new": b"1"})
    outcomes = await records.write(records.a_delete("a", expect="stale"), records.a_delete("b"), atomic=False)
    assert [(o.version, type(o.error)) for o in outcomes] == [(None, VersionConflict), (None, type(None))]
    await records.expect({"a": b"a", "c": b"c", "new": b"1"}, "b")


@case("batch.atomic_applies", requires={"atomic_batch", "conditional"})
async def atomic_applies(env: Env) -> None:
    """An atomic batch puts, deletes and checks over several collections, and each outcome is told."""
    one, two = env.records(), env.records()
    await one.fill(["a", "b"])
    await two.fill(["a"])
    versions = [(await place.must_get("a")).version for place in (one, two)]
    puts = [one.a_put("new", expect=ABSENT), two.a_put("b", b"two")]
    found = await one.write(
        puts[0],
        one.a_check("a", versions[0]),
        one.a_delete("b"),
        puts[1],
        two.a_delete("a", expect=versions[1]),
        two.a_check("missing", ABSENT),
        atomic=True,
    )
    assert [(o.version, o.existed, o.error) for o in found] == [
        (puts[0].version, False, None),
        (None, True, None),
        (None, True, None),
        (puts[1].version, False, None),
        (None, True, None),
        (None, False, None),
    ]
    await one.expect({"a": b"a", "new": b"new"}, "b")
    await two.expect({"b": b"two"}, "a", "missing")
    assert (await one.must_get("a")).version == versions[0], "a check changes nothing"


@case("batch.atomic_all_or_none", requires={"atomic_batch", "conditional"})
async def atomic_all_or_none(env: Env) -> None:
    """One failed expectation, wherever it stands and of whatever kind, leaves the batch unapplied."""
    one, two = env.records(), env.records()
    await one.fill(["a", "b", "x"])
    await two.fill(["a", "b"])
    before = {place.name: await place.state() for place in (one, two)}
    current = before[one.name]["x"].version
    bad: list[Put | Delete | Check] = [
        one.a_put("x", b"new", expect="stale"),
        one.a_put("x", b"new", expect=ABSENT),
        one.a_delete("x", expect="stale"),
        one.a_delete("x", expect=ABSENT),
        one.a_check("x", "stale"),
        one.a_check("x", ABSENT),
        one.a_put("gone", b"new", expect=current),
        one.a_delete("gone", expect=current),
        one.a_check("gone", current),
    ]
    for operation in bad:
        for place in range(4):
            batch: list[Any] = [one.a_put("a", b"new"), two.a_delete("a"), two.a_put("c", b"new")]
            batch.insert(place, operation)
            with raises(VersionConflict) as caught:
                await one.write(*batch, atomic=True)
            error = caught.error
            assert (error.key, error.collection, error.index) == (operation.key, one.name, place)
            assert error.current == (current if operation.key == "x" else None)
    for place_ in (one, two):
        state = await place_.state("gone", "c")
        assert list(state) == list(before[place_.name])
        for key, record in state.items():
            assert_same_record(record, before[place_.name][key], "state")


@case("batch.atomic_checks_before", requires={"transactions", "query"})
async def atomic_checks_before(env: Env) -> None:
    """Expectations and queries of an atomic batch are judged against the state before it."""
    records = env.records()
    await records.put("a", b"old", fields={"n": 1})
    version = (await records.must_get("a")).version
    check = CheckQuery(records.query(Compare("n", Op.GE, 0)), [("a", version)])
    delete, put = records.a_delete("a", expect=version), records.a_put("b", expect=ABSENT, fields={"n": 2})
    await records.write(delete, put, records.a_put("c"), atomic=True, queries=[check])
    await records.expect({"b": b"b", "c": b"c"}, "a")
    await records.write(
        records.a_put("z"), records.a_delete("b"), records.a_put("y", expect=ABSENT), atomic=True
    )
    await records.expect({"c": b"c", "y": b"y", "z": b"z"}, "b")


@case("batch.atomic_missing_delete", requires={"atomic_batch"})
async def atomic_missing_delete(env: Env) -> None:
    """Deleting what is not there is no failure of an atomic batch."""
    records = env.records()
    found = await records.write(records.a_put("a"), records.a_delete("missing"), atomic=True)
    assert [(o.existed, o.error) for o in found] == [(False, None), (False, None)]
    await records.expect({"a": b"a"}, "missing")


@case("batch.atomic_large", requires={"atomic_batch", "conditional"})
async def atomic_large(env: Env) -> None:
    """An atomic batch up to the declared limit is one batch: 1,500 changes apply together or not at all."""
    records = env.records()
    size = min(1500, env.capabilities.limits.max_atomic_ops or 1500)
    puts = [records.a_put(f"{n:04}") for n in range(size)]
    puts[-1].expect = "stale"
    with raises(VersionConflict) as caught:
        await env.adapter.set_batch(puts, atomic=True)
    assert caught.error.index == size - 1
    await records.expect({}, "0000")
    puts[-1].expect = ANY
    assert await env.adapter.set_batch(puts, atomic=True) == [put.version for put in puts]
    await records.expect({put.key: put.value for put in puts})
    assert await env.adapter.delete_batch(records.name, [put.key for put in puts], atomic=True) == size
    await records.expect({}, "0000")


@case("batch.atomic_limit", requires={"atomic_batch"})
async def atomic_limit(env: Env) -> None:
    """An atomic batch of one operation more than declared is LimitExceeded, and nothing is written."""
    limit = env.capabilities.limits.max_atomic_ops
    if limit is None or limit > 100_000:
        return
    records = env.records()
    with raises(LimitExceeded) as caught:
        await env.adapter.set_batch([records.a_put(f"{n}") for n in range(limit + 1)], atomic=True)
    assert (caught.error.limit, caught.error.actual, caught.error.maximum) == (
        "max_atomic_ops",
        limit + 1,
        limit,
    )
    await records.expect({}, "0")


@case("batch.atomic_checked_query", requires={"transactions", "query"})
async def atomic_checked_query(env: Env) -> None:
    """An atomic batch may depend on a query: the same records at the same versions, or no change."""
    records = env.records()
    await records.fill({f"k{n}": {"n": n} for n in range(6)})
    queries = {
        "all": records.query(),
        "some": records.query(Compare("n", Op.GE, 2)),
        "page": records.query(None, Order("n", descending=True), limit=2, offset=1),
        "none": records.query(Compare("n", Op.GT, 100)),
    }

    async def found(name: str) -> CheckQuery:
        page = await env.adapter.query(queries[name])
        return CheckQuery(queries[name], [(r.key, r.version) for r in page.records])

    checks = [await found(name) for name in queries]
    await records.write(records.a_put("ok"), atomic=True, queries=[checks[1], checks[2], checks[3]])
    for name, check in zip(queries, checks, strict=True):
        await records.fill(
            {"k4": {"n": 4}, "k200": {"n": 200}}
        )  # same fields, another version; and a phantom
        with raises(VersionConflict) as caught:
            await records.write(records.a_put("bad"), atomic=True, queries=[check])
        assert caught.error.key is None, name
        await records.delete("k200")
    await records.expect({**{f"k{n}": f"k{n}".encode() for n in range(6)}, "ok": b"ok"}, "bad")


@case("batch.atomic_visible", requires={"atomic_batch", "snapshots"})
async def atomic_visible(env: Env) -> None:
    """Nobody ever sees part of an atomic batch, neither by key nor by query."""
    records = env.records()
    reader = env.records(records.name).through(
        await env.second() if "second" in env.target.hooks else env.adapter
    )
    keys = [f"k{n:02}" for n in range(20)]
    seen: set[bytes] = set()
    last, done = b"", False

    async def write() -> None:
        nonlocal done, last
        for number in going_on(env.scale(30, 300), lambda: len(seen) > 2):
            last = b"%d" % number
            await env.adapter.set_batch([records.a_put(k, last) for k in keys], atomic=True)
            await asyncio.sleep(0)
        done = True

    async def watch() -> None:
        while not done:
            values = {None if r is None else r.value for r in await reader.read(*keys)}
            assert len(values) == 1, "read sees part of an atomic batch"
            if env.capabilities.query:
                listed = (await reader.page()).records
                assert len(listed) in (0, len(keys)), "query sees part of an atomic batch"
                assert len({r.value for r in listed}) <= 1, "query sees part of an atomic batch"
            seen.update(value for value in values if value is not None)
            await asyncio.sleep(0)

    await asyncio.gather(write(), watch(), watch())
    assert len(seen) > 2, "the readers did not overlap with the writer"
    await records.expect(dict.fromkeys(keys, last))


@case("batch.replace_atomic")
async def replace_atomic(env: Env) -> None:
    """A record that is overwritten is never seen as missing in between, alone or in a batch."""
    records = env.records()
    reader = env.records(records.name).through(
        await env.second() if "second" in env.target.hooks else env.adapter
    )
    await records.fill(["a", "b"])
    seen: set[bytes] = set()
    done = False

    async def write() -> None:
        nonlocal done
        for number in going_on(env.scale(50, 500), lambda: len(seen) > 2):
            await records.put("a", b"%d" % number, fields={"n": number})
            await records.write(records.a_put("b", b"%d" % number, fields={"n": number}))
            await asyncio.sleep(0)
        done = True

    async def watch() -> None:
        while not done:
            for record in await reader.read("a", "b"):
                assert record is not None, "a record is missing while it is overwritten"
                seen.add(record.value)
            if env.capabilities.query:
                assert await reader.count() == 2
            await asyncio.sleep(0)

    await asyncio.gather(write(), watch())
    assert len(seen) > 2, "the reader did not overlap with the writer"


@case("batch.mixed_collections")
async def mixed_collections(env: Env) -> None:
    """A batch over several collections writes each record into its own."""
    places = [env.records() for _ in range(3)]
    puts = [Put(place.name, key, f"{place.name}{key}".encode()) for key in "ab" for place in places]
    assert await env.adapter.set_batch(puts) == [put.version for put in puts]
    for place in places:
        await place.expect({key: f"{place.name}{key}".encode() for key in "ab"})


@case("batch.neighbours", level=Level.MUST, requires={"ttl"})
async def neighbours(env: Env) -> None:
    """Reading a batch in which one record has expired leaves all the others as they are."""
    records = env.records()
    await records.put("b", expires_at=env.clock.deadline(1))
    await records.fill(["a", "c"])
    env.clock.advance(2)
    assert list(await env.adapter.get_batch(records.name, ["a", "b", "c"])) == ["a", "c"]
    await records.expect({"a": b"a", "c": b"c"}, "b")
