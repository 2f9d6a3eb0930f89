"""Conditions: versions that never come back, and writers that lose without a trace."""

from __future__ import annotations

import asyncio

from daystore.abc import StorageAdapter
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records


async def _rivals(env: Env, count: int) -> list[StorageAdapter]:
    """Return adapters on the same data: several where the target can, the one otherwise."""
    if "second" not in env.target.hooks:
        return [env.adapter] * count
    second = await env.second()
    return [env.adapter if number % 2 else second for number in range(count)]


@case("cas.create_only", requires={"conditional"})
async def create_only(env: Env) -> None:
    """Creating what exists is refused with its version, and what is deleted can be created again."""
    records = env.records()
    version = await records.put("a", b"1", if_absent=True)
    with raises(VersionConflict, hides=["secret"]) as caught:
        await records.put("a", b"secret", if_absent=True)
    error = caught.error
    assert (error.key, error.collection, error.current) == ("a", records.name, version)
    await records.expect({"a": b"1"})
    await records.delete("a")
    assert await records.put("a", b"2", if_absent=True) != version
    await records.expect({"a": b"2"})


@case("cas.one_creator", requires={"conditional"})
async def one_creator(env: Env) -> None:
    """Of sixteen that create one record at once exactly one succeeds, and its value is stored."""
    records = env.records()
    for number in range(env.scale(5, 50)):
        key = f"k{number}"

        async def create(adapter: StorageAdapter, value: bytes, key: str = key) -> bytes | None:
            await asyncio.sleep(0)
            try:
                await adapter.set(records.name, key, value, if_absent=True)
            except VersionConflict:
                return None
            return value

        rivals = await _rivals(env, 16) if number == 0 else [env.adapter] * 16
        tries = [create(adapter, b"%d" % index) for index, adapter in enumerate(rivals)]
        won = [value for value in await asyncio.gather(*tries) if value is not None]
        assert len(won) == 1
        assert await records.value(key) == won[0]


@case("cas.stale_rejected", requires={"conditional"})
async def stale_rejected(env: Env) -> None:
    """A write at an old version is refused with the current one, and changes nothing."""
    records = env.records()
    old = await records.put("a", b"1")
    new = await records.put("a", b"2")
    before = (await records.state("a"))["a"]
    for _ in range(2):
        with raises(VersionConflict) as caught:
            await records.put("a", b"3", if_version=old)
        assert caught.error.current == new
    assert_same_record((await records.state("a"))["a"], before, "state")
    await records.put("a", b"3", if_version=new)
    await records.expect({"a": b"3"})


@case("cas.stale_keeps_all", requires={"conditional", "ttl"})
async def stale_keeps_all(env: Env) -> None:
    """A refused write leaves every entry as it was: value, fields, type, expiry, times and version."""
    records = env.records()
    await records.put(
        "a", b"1", fields={"f": 1, "l": ("x",)}, content_type="t/a", expires_at=env.clock.deadline(60)
    )
    before = (await records.state("a"))["a"]
    env.clock.advance(1)
    for options in ({"if_version": "stale"}, {"if_absent": True}):
        with raises(VersionConflict):
            await records.put(
                "a", b"2", fields={"f": 2, "g": 3}, content_type="t/b", expires_at=None, **options
            )
    with raises(VersionConflict):
        await records.delete("a", if_version="stale")
    assert_same_record((await records.state("a"))["a"], before, "state")


@case("cas.version_returned", requires={"conditional"})
async def version_returned(env: Env) -> None:
    """The version that a write returns is the one that is stored, and the next write may expect it."""
    records = env.records()
    version = await records.put("a", b"0", if_absent=True)
    for number in range(1, 6):
        assert (await records.must_get("a")).version == version
        version = await records.put("a", b"%d" % number, if_version=version)
    assert await records.delete("a", if_version=version) is True
    await records.expect({}, "a")


@case("cas.version_changes_on_every_write")
async def version_changes_on_every_write(env: Env) -> None:
    """Every write gives a new version: of the same value, under another key, after a delete."""
    records, other = env.records(), env.records()
    seen: list[str] = []
    for _ in range(3):
        for place in (records, other):
            for key in ("a", "b"):
                seen += [await place.put(key, b"same"), await place.put(key, b"same")]
                assert (await place.must_get(key)).version == seen[-1]
        await records.delete("a")
        await env.adapter.delete_batch(other.name, ["a", "b"])
    assert all(type(version) is str and version for version in seen)
    assert len(set(seen)) == len(seen) == 24


@case("cas.aba", requires={"conditional"})
async def aba(env: Env) -> None:
    """The version of a deleted record never holds again, also for the same value at the same time."""
    records = env.records()
    versions = [await records.put("a", b"same")]
    for _ in range(3):
        await records.delete("a")
        versions.append(await records.put("a", b"same"))
        for version in versions[:-1]:
            with raises(VersionConflict) as caught:
                await records.put("a", b"other", if_version=version)
            assert caught.error.current == versions[-1]
            with raises(VersionConflict):
                await records.delete("a", if_version=version)
    await records.expect({"a": b"same"})


@case("cas.on_missing", requires={"conditional"})
async def on_missing(env: Env) -> None:
    """Where nothing is, no version holds: a conditional write of a missing record is refused."""
    records = env.records()
    version = await records.put("a")
    await records.delete("a")
    for key in ("a", "never"):
        with raises(VersionConflict) as caught:
            await records.put(key, if_version=version)
        assert (caught.error.key, caught.error.current) == (key, None)
        with raises(VersionConflict) as caught:
            await records.delete(key, if_version=version)
        assert caught.error.current is None
    await records.expect({}, "a", "never")


@case("cas.foreign_version", requires={"conditional"})
async def foreign_version(env: Env) -> None:
    """A version is opaque: text of any shape is just not the current one, and no error of another kind."""
    records = env.records()
    current = await records.put("a", b"1")
    foreign = ("", "0", "1", "x", "'", "null", "*", "%", "\0", "\u00e9", "a" * 10_000, "-1", current + " ")
    for version in (*foreign, current[:-1], "0" * len(current)):
        with raises(VersionConflict) as caught:
            await records.put("a", b"2", if_version=version)
        assert caught.error.current == current
        with raises(VersionConflict):
            await records.delete("a", if_version=version)
    await records.expect({"a": b"1"})


@case("cas.other_record", requires={"conditional"})
async def other_record(env: Env) -> None:
    """The version of one record holds for no other: not under another key, not in another collection."""
    records, other = env.records(), env.records()
    version = await records.put("a", b"1")
    await records.put("b", b"1")
    await other.put("a", b"1")
    for place, key in ((records, "b"), (other, "a")):
        with raises(VersionConflict):
            await place.put(key, b"2", if_version=version)
    await records.expect({"a": b"1", "b": b"1"})
    await other.expect({"a": b"1"})


@case("cas.delete_if", requires={"conditional"})
async def delete_if(env: Env) -> None:
    """A conditional delete takes the record at that version alone; refused, it leaves it as it was."""
    records = env.records()
    old = await records.put("a", b"1", fields={"f": 1})
    new = await records.put("a", b"2", fields={"f": 2})
    before = (await records.state("a"))["a"]
    with raises(VersionConflict) as caught:
        await records.delete("a", if_version=old)
    assert caught.error.current == new
    assert_same_record((await records.state("a"))["a"], before, "state")
    assert await records.delete("a", if_version=new) is True
    with raises(VersionConflict) as caught:
        await records.delete("a", if_version=new)
    assert caught.error.current is None


@case("cas.one_condition", requires={"conditional"})
async def one_condition(env: Env) -> None:
    """A version and absence cannot be expected together: that is a ValueError, and nothing is written."""
    records = env.records()
    with raises(ValueError):
        await records.put("a", if_version="x", if_absent=True)
    with raises(TypeError):
        await env.adapter.set(records.name, "a", b"", if_version=1)  # type: ignore[arg-type] # that is the point
    await records.expect({}, "a")


@case("cas.one_winner", requires={"conditional"})
async def one_winner(env: Env) -> None:
    """Of many that write at one version at once exactly one succeeds, and its value is stored."""
    records = env.records()
    rivals = await _rivals(env, 8)
    for _ in range(env.scale(10, 100)):
        version = await records.put("a", b"start")

        async def write(adapter: StorageAdapter, value: bytes, version: str = version) -> bytes | None:
            await asyncio.sleep(0)
            try:
                await adapter.set(records.name, "a", value, if_version=version)
            except VersionConflict:
                return None
            return value

        tries = [write(adapter, b"%d" % number) for number, adapter in enumerate(rivals)]
        won = [value for value in await asyncio.gather(*tries) if value is not None]
        assert len(won) == 1
        assert await records.value("a") == won[0]


async def _increment(records: Records, times: int) -> int:
    """Count up by one as often as asked; return how often somebody else was faster."""
    conflicts = 0
    for _ in range(times):
        while True:
            record = await records.must_get("n")
            await asyncio.sleep(0)
            try:
                await records.put("n", b"%d" % (int(record.value) + 1), if_version=record.version)
            except VersionConflict:
                conflicts += 1
            else:
                break
    return conflicts


@case("cas.n_incrementers", requires={"conditional"})
async def n_incrementers(env: Env) -> None:
    """Sixteen tasks that count up by read and conditional write, at most fifty times each, lose no count."""
    records = env.records()
    times = env.scale(15, 50)
    await records.put("n", b"0")
    conflicts = await asyncio.gather(*(_increment(records, times) for _ in range(16)))
    assert sum(conflicts) > 0, "the tasks did not overlap"
    await records.expect({"n": b"%d" % (16 * times)})


@case("cas.n_incrementers_apart", requires={"conditional"}, needs={"second"})
async def n_incrementers_apart(env: Env) -> None:
    """Tasks that count through different adapters on the same data count exactly as well."""
    records = env.records()
    await records.put("n", b"0")
    adapters = await _rivals(env, 8)
    conflicts = await asyncio.gather(*(_increment(records.through(adapter), 25) for adapter in adapters))
    assert sum(conflicts) > 0, "the tasks did not overlap"
    await records.expect({"n": b"200"})


@case("cas.batch", requires={"conditional", "atomic_batch"})
async def batch(env: Env) -> None:
    """In an atomic batch one stale version among good ones keeps all of it from being applied."""
    records = env.records()
    versions = {key: await records.put(key, b"old") for key in "abc"}
    stale = versions["b"]
    versions["b"] = await records.put("b", b"newer")
    with raises(VersionConflict) as caught:
        await env.adapter.set_batch(
            [records.a_put(k, b"x", expect=stale if k == "b" else versions[k]) for k in "abc"], atomic=True
        )
    assert (caught.error.key, caught.error.current, caught.error.index) == ("b", versions["b"], 1)
    await records.expect({"a": b"old", "b": b"newer", "c": b"old"})
    await env.adapter.set_batch([records.a_put(k, b"x", expect=versions[k]) for k in "abc"], atomic=True)
    await records.expect(dict.fromkeys("abc", b"x"))


@case("cas.check_alone", requires={"conditional"})
async def check_alone(env: Env) -> None:
    """A check succeeds or fails by the version alone, and changes nothing."""
    records = env.records()
    version = await records.put("a", b"1")
    before = (await records.state("a"))["a"]
    env.clock.advance(1)
    good, bad = await records.write(records.a_check("a", version), records.a_check("b", version))
    assert (good.version, good.existed, good.error) == (None, True, None)
    assert isinstance(bad.error, VersionConflict)
    assert_same_record((await records.state("a", "b"))["a"], before, "state")
