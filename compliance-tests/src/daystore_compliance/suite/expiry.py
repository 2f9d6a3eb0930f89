"""Expiry: gone at its instant, for everybody, neither early nor late."""

from __future__ import annotations

from collections.abc import Iterable

from daystore.abc import ABSENT, KEEP, Aggregate, Compare, Function, Not, Op, Outcome
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records


async def _expect_gone(records: Records, key: str, left: Iterable[str] = ()) -> None:
    """Expect a record to be gone for every operation that reads, and the others to be left."""
    left = sorted(left)
    adapter = records.adapter
    for place in (records, records.through(records.reader)):
        assert await place.get(key) is None
        assert not await place.adapter.exists(records.name, key)
        assert await place.read(key, *left) == [None, *(await place.read(*left))]
        assert list(await place.adapter.get_batch(records.name, [key, *left])) == left
        if not adapter.capabilities.query:
            continue
        assert await place.keys() == left
        assert await place.keys(Compare("key", Op.EQ, key)) == []
        assert await place.keys(Compare("f", Op.EQ, 1)) == left
        assert await place.keys(Not(Compare("f", Op.EQ, 2))) == left
        assert await place.count() == await place.count(Compare("f", Op.EXISTS, True)) == len(left)
        if adapter.capabilities.aggregate:
            rows = await place.aggregate({"n": Aggregate(Function.COUNT)})
            assert rows[0].values == {"n": len(left)}


@case("ttl.expires_everywhere", requires={"ttl"})
async def expires_everywhere(env: Env) -> None:
    """From its deadline on a record is gone for every operation that reads, counts or conditions."""
    records = env.records()
    deadline = env.clock.deadline(10)
    version = await records.put("a", fields={"f": 1}, expires_at=deadline)
    await records.put("b", fields={"f": 1})
    assert (await records.state("a", "b"))["a"].expires_at == deadline
    env.clock.move_to(deadline)
    await _expect_gone(records, "a", ["b"])
    assert await records.delete("a") is False
    assert await env.adapter.delete_batch(records.name, ["a"]) == 0
    if env.capabilities.conditional:
        with raises(VersionConflict) as caught:
            await records.put("a", if_version=version)
        assert caught.error.current is None
    await _expect_gone(records, "a", ["b"])


@case("ttl.boundary", requires={"ttl"})
async def boundary(env: Env) -> None:
    """A record is there until the microsecond before its deadline, and gone at the deadline."""
    records = env.records()
    deadline = env.clock.deadline(10)
    await records.put("a", fields={"f": 1}, expires_at=deadline)
    env.clock.move_to(deadline - 1)
    await records.expect({"a": b"value"})
    assert await records.keys(Compare("f", Op.EQ, 1)) == ["a"] if env.capabilities.query else True
    env.clock.move_to(deadline)
    await _expect_gone(records, "a")


@case("ttl.subsecond", requires={"ttl"})
async def subsecond(env: Env) -> None:
    """Deadlines a millisecond apart are kept apart: nothing is rounded to seconds."""
    records = env.records()
    first = env.clock.deadline(0.001)
    deadlines = {f"k{n}": first + n * 1000 for n in (0, 1, 2, 499, 500, 999, 1000)}
    for key, deadline in deadlines.items():
        await records.put(key, expires_at=deadline)
    for gone, deadline in deadlines.items():
        env.clock.move_to(deadline - 1)
        await records.expect({k: b"value" for k, at in deadlines.items() if at >= deadline}, *deadlines)
        env.clock.move_to(deadline)
        assert await records.get(gone) is None


@case("ttl.elapsed_deadline", requires={"ttl"})
async def elapsed_deadline(env: Env) -> None:
    """A record whose deadline has passed when it is written is gone at once, and never immortal."""
    records = env.records()
    now = env.clock.align()
    for key, deadline in (("now", now), ("past", now - 1000), ("epoch", 0), ("before", -1000)):
        await records.put(key, expires_at=deadline)
        await _expect_gone(records, key)
    env.clock.advance(1000)
    await records.expect({}, "now", "past", "epoch", "before")
    await records.put("a", b"old")
    await records.put("a", b"new", expires_at=now)
    await _expect_gone(records, "a")


@case("ttl.overwrite_clears", requires={"ttl"})
async def overwrite_clears(env: Env) -> None:
    """Overwriting takes the old deadline away: without one a record stays, a later one counts."""
    records = env.records()
    soon, late = env.clock.deadline(10), env.clock.deadline(20)
    for key, deadline in (("never", None), ("later", late), ("batch", None)):
        await records.put(key, b"old", expires_at=soon)
        if key == "batch":
            await env.adapter.set_batch([records.a_put(key, b"new")])
        else:
            await records.put(key, b"new", expires_at=deadline)
    assert [r.expires_at for r in (await records.state()).values()] == [None, late, None]
    env.clock.move_to(soon)
    await records.expect({"never": b"new", "later": b"new", "batch": b"new"})
    env.clock.move_to(late)
    await records.expect({"never": b"new", "batch": b"new"}, "later")


@case("ttl.shorten", requires={"ttl"})
async def shorten(env: Env) -> None:
    """Overwriting with an earlier deadline, or with one at all, makes the record end then."""
    records = env.records()
    soon, late = env.clock.deadline(10), env.clock.deadline(20)
    await records.put("a", expires_at=late)
    await records.put("b")
    for key in "ab":
        await records.put(key, expires_at=soon)
    env.clock.move_to(soon)
    await records.expect({}, "a", "b")


@case("ttl.keep", requires={"ttl"})
async def keep(env: Env) -> None:
    """Keeping the expiry keeps exactly the deadline that was there, or none, write after write."""
    records = env.records()
    deadline = env.clock.deadline(10)
    await records.put("a", b"1", expires_at=deadline)
    await records.put("b", b"1")
    for number in (b"2", b"3"):
        env.clock.advance(4)
        for key in ("a", "b", "new"):
            await records.put(key, number, expires_at=KEEP)
        await env.adapter.set_batch(
            [records.a_put(key, number, expires_at=KEEP) for key in ("a", "b", "new")]
        )
    state = await records.state("a", "b", "new")
    assert {key: r.expires_at for key, r in state.items()} == {"a": deadline, "b": None, "new": None}
    env.clock.move_to(deadline)
    await records.expect({"b": b"3", "new": b"3"}, "a")
    await records.put("a", b"4", expires_at=KEEP)
    assert (await records.must_get("a")).expires_at is None, "an expired record has no deadline to keep"
    env.clock.advance(1000)
    await records.expect({"a": b"4", "b": b"3", "new": b"3"})


@case("ttl.huge", requires={"ttl"})
async def huge(env: Env) -> None:
    """Deadlines in a hundred years and in the year 9999 are kept, not wrapped."""
    records = env.records()
    century = env.clock.deadline(100 * 366 * 86_400)
    last = 253_402_300_799_999_000
    deadlines = {
        "century": century,
        "last": last,
        "int32": (2**31) * 1_000_000,
        "uint32": (2**32) * 1_000_000,
    }
    for key, deadline in deadlines.items():
        await records.put(key, expires_at=deadline)
    assert {k: r.expires_at for k, r in (await records.state()).items()} == deadlines
    env.clock.move_to(century - 1)
    state = await records.state(*deadlines)
    assert set(state) == {key for key, deadline in deadlines.items() if deadline >= century}
    env.clock.move_to(last - 1)
    assert list(await records.state(*deadlines)) == ["last"]


@case("ttl.cas_on_expired", requires={"ttl", "conditional"})
async def cas_on_expired(env: Env) -> None:
    """For conditions an expired record is absent: its version holds for no put, delete or check."""
    records = env.records()
    deadline = env.clock.deadline(1)
    version = await records.put("a", expires_at=deadline)
    env.clock.move_to(deadline)
    for operation in (
        records.a_put("a", expect=version),
        records.a_delete("a", expect=version),
        records.a_check("a", version),
    ):
        outcome = (await records.write(operation))[0]
        assert isinstance(outcome.error, VersionConflict)
        assert outcome.error.current is None
    await records.expect({}, "a")


@case("ttl.if_absent_on_expired", requires={"ttl", "conditional"})
async def if_absent_on_expired(env: Env) -> None:
    """A record that is absent by expiry can be created, and begins anew."""
    records = env.records()
    deadline = env.clock.deadline(1)
    await records.put("a", b"old", expires_at=deadline, fields={"f": 1})
    with raises(VersionConflict):
        await records.put("a", b"new", if_absent=True)
    env.clock.move_to(deadline)
    version = await records.put("a", b"new", if_absent=True)
    record = (await records.state("a"))["a"]
    assert (record.value, record.version, dict(record.fields)) == (b"new", version, {})
    assert (record.created_at, record.expires_at) == (deadline, None)
    with raises(VersionConflict) as caught:
        await records.put("a", if_absent=True)
    assert caught.error.current == version


@case("ttl.rewritten", requires={"ttl"})
async def rewritten(env: Env) -> None:
    """A record written over an expired one is new: created now, nothing existed, old fields gone."""
    records = env.records()
    deadline = env.clock.deadline(1)
    for key in "ab":
        await records.put(key, b"old", expires_at=deadline, fields={"f": 1, "l": ("x",)})
    now = env.clock.advance(60)
    put = records.a_put("a", b"new", fields={"f": 2})
    assert await records.write(put, records.a_delete("b")) == [
        Outcome(put.version, False),
        Outcome(None, False),
    ]
    record = (await records.state("a", "b"))["a"]
    assert (record.created_at, record.updated_at, record.expires_at) == (now, now, None)
    if env.capabilities.query:
        for where in (Compare("f", Op.EQ, 1), Compare("l", Op.CONTAINS, "x")):
            assert await records.keys(where) == []
    env.clock.move_to(deadline + 10**9)
    await records.expect({"a": b"new"}, "b")


@case("ttl.atomic_on_expired", requires={"ttl", "atomic_batch", "conditional"})
async def atomic_on_expired(env: Env) -> None:
    """In an atomic batch an expired record is absent, for what expects it and for what expects nothing."""
    records = env.records()
    deadline = env.clock.deadline(1)
    version = await records.put("a", expires_at=deadline)
    env.clock.move_to(deadline)
    with raises(VersionConflict):
        await records.write(records.a_put("b"), records.a_check("a", version), atomic=True)
    await records.expect({}, "a", "b")
    await records.write(records.a_check("a", ABSENT), records.a_put("b"), atomic=True)
    await records.write(records.a_put("a", expect=ABSENT), records.a_delete("b"), atomic=True)
    await records.expect({"a": b"a"}, "b")


@case("ttl.one_by_one", requires={"ttl"})
async def one_by_one(env: Env) -> None:
    """Records with many deadlines vanish each at its own, and leave the others whole."""
    records = env.records()
    deadlines = {f"k{n:02}": env.clock.deadline(1 + n * 7 % 40) for n in range(40)}
    await env.adapter.set_batch(
        [records.a_put(key, expires_at=at, fields={"f": 1}) for key, at in deadlines.items()]
    )
    await records.fill(["stays"])
    for instant in sorted(set(deadlines.values()))[::4]:
        env.clock.move_to(instant)
        left = {key: key.encode() for key, at in deadlines.items() if at > instant} | {"stays": b"stays"}
        await records.expect(left, *deadlines)
    await records.expect(
        {"stays": b"stays"} | {k: k.encode() for k, at in deadlines.items() if at > env.clock()}
    )


@case("ttl.whole_milliseconds", requires={"ttl"})
async def whole_milliseconds(env: Env) -> None:
    """A deadline that is no whole number of milliseconds is a ValueError, and nothing is written."""
    records = env.records()
    for deadline in (env.clock.deadline(1) + 1, env.clock.deadline(1) - 1, 999):
        with raises(ValueError):
            await records.put("a", expires_at=deadline)
    await records.expect({}, "a")


@case("ttl.restart", requires={"ttl"}, needs={"reopen"})
async def restart(env: Env) -> None:
    """Deadlines survive a close and another open to the millisecond, also those that pass meanwhile."""
    name = env.records().name
    early, late = env.clock.deadline(1), env.clock.deadline(5)
    for key, deadline in (("early", early), ("late", late), ("never", None)):
        await env.records(name).put(key, expires_at=deadline)
    env.clock.advance(2)
    await env.reopen()
    records = env.records(name).through(env.adapter)
    assert {k: r.expires_at for k, r in (await records.state("early")).items()} == {
        "late": late,
        "never": None,
    }
    env.clock.move_to(late - 1)
    await records.expect({"late": b"value", "never": b"value"}, "early")
    env.clock.move_to(late)
    await records.expect({"never": b"value"}, "early", "late")
