"""Intents beside records: they change nothing, hide from everybody, and let nobody else write."""

from __future__ import annotations

from typing import Any, Final

from daystore.abc import (
    ABSENT,
    ANY,
    Aggregate,
    Check,
    Compare,
    Delete,
    Function,
    Holds,
    Not,
    Op,
    Prepare,
    Put,
    Release,
    WriteBatch,
)
from daystore.abc.record import Operation
from daystore.errors import RecordPrepared, UnsupportedOperation, VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.preparing import NEEDS, bare, below, expect_done, expect_refused, seen
from daystore_compliance.records import Records

MINE: Final = b"\x00my transaction"[:15] + b"\x00"
OTHERS: Final = MINE[:15] + b"\x01"
COUNTED: Final = {
    "n": Aggregate(Function.COUNT),
    "has": Aggregate(Function.COUNT, "n"),
    "sum": Aggregate(Function.SUM, "n"),
}


@case("cap.intents.refused", undeclared={"intents"})
async def intentsexpect_refused(env: Env) -> None:
    """Without intents none is prepared, released or expected, and nothing of its batch is written."""
    records = env.records()
    await records.put("a", b"1")
    expecting = "intents" if env.capabilities.conditional else "conditional"
    for key in ("a", "new"):
        for operation, lacks in (
            (Prepare(records.name, key, MINE), "intents"),
            (Release(records.name, key, Holds(MINE)), expecting),
            (records.a_put(key, expect=Holds(MINE)), expecting),
            (records.a_delete(key, expect=Holds(MINE)), expecting),
        ):
            batches: tuple[tuple[Operation, ...], ...] = ((operation,), (records.a_put("first"), operation))
            for batch in batches:
                with raises(UnsupportedOperation) as caught:
                    await env.adapter.write(WriteBatch(batch))
                assert (caught.error.capability, caught.error.backend) == (lacks, env.adapter.name)
    await records.expect({"a": b"1"}, "new", "first")


# --- Preparing -----------------------------------------------------------------------------------------------


async def _answers(records: Records) -> list[Any]:
    """Return what queries find, on every path that there is."""
    found: list[Any] = []
    for place in (records, records.through(records.reader)):
        for where in (
            None,
            Compare("n", Op.EQ, 1),
            Not(Compare("n", Op.EQ, 1)),
            Compare("t", Op.CONTAINS, "x"),
        ):
            found.append([await place.keys(where), await place.keys(where, "n"), await place.count(where)])
            found.append([(row.group, row.values) for row in await place.aggregate(COUNTED, (), where)])
        found.append([(row.group, row.values) for row in await place.aggregate(COUNTED, ("n",))])
        found.append(await place.walk(1))
    return found


@case("intent.keeps", requires={*NEEDS, "query", "aggregate", "ttl"})
async def keeps(env: Env) -> None:
    """Preparing changes nothing that is seen: no value, version, time, deadline or field, and no answer."""
    records = env.records()
    await records.put(
        "a", b"1", fields={"n": 1, "t": ("x",)}, expires_at=env.clock.deadline(60), content_type="t/a"
    )
    await records.put("b", b"2", fields={"n": 2})
    await records.put("decoy", b"3", fields={"n": 1, "t": ("x", "y")})
    keys = ("a", "b", "decoy", "new")
    before, answers = await seen(records, *keys), await _answers(records)
    assert list(before) == ["a", "b", "decoy"]
    env.clock.advance(1)
    async with below(records) as raw:
        tx = await raw.begin()
        change = records.a_put("a", b"9", fields={"n": 9, "t": ("z",)}, expect=before["a"].version)
        intents = [
            await raw.prepare(change, tx, existed=True),
            await raw.prepare(records.a_delete("b"), tx, existed=True),
            None,
            await raw.prepare(records.a_put("new", fields={"n": 1}, expect=ABSENT), tx, existed=False),
        ]
        assert await raw.intents(*keys) == intents
        after = await seen(records, *keys)
        assert list(after) == list(before)
        for key, record in before.items():
            assert_same_record(after[key], record, "a read of what is prepared")
            stored = await raw.get(key)
            assert stored is not None
            assert_same_record(bare(stored), record, "a read below of what is prepared")
        assert await _answers(records) == answers


@case("intent.expects", requires={*NEEDS, "query"})
async def expects(env: Env) -> None:
    """Preparing is a conditional write: where its expectation does not hold, nothing is prepared."""
    records = env.records()
    stale = await records.put("a", b"0")
    current = await records.put("a", b"1")
    await records.put("b", b"2")
    before = await seen(records, "a", "b", "new")
    async with below(records) as raw:
        tx = await raw.begin()
        for key, expect, live in (
            ("a", ABSENT, current),
            ("a", stale, current),
            ("a", "", current),
            ("new", stale, None),
        ):
            prepare = Prepare(records.name, key, tx, expect)
            expect_refused((await raw.apply(prepare))[0].error, VersionConflict, records, key, live)
            with raises(VersionConflict) as caught:
                await raw.atomically(prepare)
            expect_refused(caught.error, VersionConflict, records, key, live)
            assert caught.error.index == 0
        assert await raw.intents("a", "b", "new") == [None] * 3
        assert await raw.listed(everywhere=True) == {}
        refused, done, _ = await raw.apply(
            Prepare(records.name, "a", tx, stale),
            Prepare(records.name, "b", tx, ANY),
            records.a_put("c", b"3"),
        )
        assert type(refused.error) is VersionConflict
        expect_done(done, version=None, existed=True)
        assert await raw.intents("a", "b", "new") == [None, tx, None]
        after = await seen(records, "a", "b", "c", "new")
        assert list(after) == ["a", "b", "c"]
        for key, record in before.items():
            assert_same_record(after[key], record, "a read of what is prepared")


@case("intent.refuses", requires={*NEEDS, "query", "ttl"}, variants=("live", "placeholder", "expired"))
async def refuses(env: Env, kind: str) -> None:
    """What is prepared refuses every other operation with RecordPrepared, whatever that expects."""
    records = env.records()
    stale = await records.put("other")
    if kind != "placeholder":
        await records.put("k", b"1", fields={"n": 1}, expires_at=env.clock.deadline(60))
    version = None if kind == "placeholder" else (await records.must_get("k")).version
    async with below(records) as raw:
        mine, tx = await raw.begin(), await raw.begin()
        intent = await raw.prepare(records.a_put("k", b"2"), mine, existed=kind != "placeholder")
        if kind == "expired":
            env.clock.advance(61)
        before, live = await raw.get("k"), version if kind == "live" else None
        assert before is not None
        name, number = records.name, 0
        for expect in (ANY, ABSENT, version or "", stale, ""):
            changes = (Put(name, "k", b"3", expect), Delete(name, "k", expect), Check(name, "k", expect))
            for operation in (
                *changes,
                Prepare(name, "k", tx, expect),
                Prepare(name, "k", intent + b"!", expect),
            ):
                number += 1
                first, second = (
                    records.a_put("first", b"%d" % number),
                    records.a_put("second", b"%d" % number),
                )
                done, refused, too = await raw.apply(first, operation, second)
                assert (done.error, too.error) == (None, None), "what stands beside it was not applied"
                expect_refused(refused.error, RecordPrepared, records, "k", live)
                assert refused[:2] == (None, False)
                beside = [
                    records.a_put(key, b"never") for key in ("first", "second") if raw.participant.one_unit
                ]
                with raises(RecordPrepared) as caught:
                    await raw.atomically(*beside, operation)
                expect_refused(caught.error, RecordPrepared, records, "k", live)
                assert caught.error.index == len(beside)
                for key in ("first", "second"):
                    assert await records.value(key) == b"%d" % number
                after = await raw.get("k")
                assert after is not None
                assert_same_record(after, before, f"a read after {operation}")


@case("intent.placeholder", requires={*NEEDS, "query", "aggregate"})
async def placeholder(env: Env) -> None:
    """An intent where nothing is stays out of every answer, and takes nothing with it when it is taken back."""
    records = env.records()
    await records.put("a", b"1", fields={"n": 1})
    await records.put("gone", fields={"n": 1})
    await records.delete("gone")
    answers = await _answers(records)
    async with below(records) as raw:
        tx = await raw.begin()
        for key in ("b", "new", "gone"):
            await raw.prepare(records.a_put(key, fields={"n": 1}), tx, existed=False, expect=ABSENT)
        for key in ("b", "new", "gone"):
            stored = await raw.get(key)
            assert stored is not None
            assert not stored.is_alive(env.clock())
            refused = await raw.apply(records.a_check(key, ABSENT))
            expect_refused(refused[0].error, RecordPrepared, records, key, None)
        assert list(await seen(records, "a", "b", "new", "gone")) == ["a"]
        assert await _answers(records) == answers
        for key in ("b", "new", "gone"):
            expect_done(
                (await raw.apply(Release(records.name, key, Holds(tx))))[0], version=None, existed=False
            )
            assert await raw.get(key) is None
            expect_done((await raw.apply(records.a_check(key, ABSENT)))[0], version=None, existed=False)
        assert await raw.listed(everywhere=True) == {}
    assert list(await seen(records, "a", "b", "new", "gone")) == ["a"]
    assert await _answers(records) == answers


@case("intent.again", requires=NEEDS)
async def again(env: Env) -> None:
    """Preparing the very same intent again succeeds and changes nothing; another one of its own is refused."""
    records = env.records()
    version = await records.put("live", b"1")
    async with below(records) as raw:
        tx = await raw.begin()
        for key, expect in (("live", version), ("live2", ANY), ("new", ABSENT)):
            if key == "live2":
                await records.put(key)
            intent = await raw.prepare(records.a_put(key, b"2"), tx, existed=key != "new", expect=expect)
            before = await raw.get(key)
            assert before is not None
            for _ in range(2):
                same = Prepare(records.name, key, bytes(bytearray(intent)), expect)
                expect_done((await raw.apply(same))[0], version=None, existed=key != "new")
                expect_done((await raw.atomically(same))[0], version=None, existed=key != "new")
            flipped = intent[:-1] + bytes((intent[-1] ^ 1,))
            for other in (intent[:-1], intent + b"\0", flipped, tx, MINE + intent[16:]):
                refused = await raw.apply(Prepare(records.name, key, other, expect))
                live = before.version if key != "new" else None
                expect_refused(refused[0].error, RecordPrepared, records, key, live)
            after = await raw.get(key)
            assert after is not None
            assert_same_record(after, before, "a read of what was prepared again")


@case("intent.bytes", requires=NEEDS)
async def exact_bytes(env: Env) -> None:
    """An intent is any bytes that begin with a transaction, and comes back exactly, however long it is."""
    records = env.records()
    everything = bytes(range(256))
    endings = (
        b"",
        b"\0",
        b"\0\0",
        b"null",
        b"'\"\\\r\n",
        b"\xff\xfe",
        everything,
        everything * 280,
        b"\0" * 70_000,
    )
    intents = [start + end for start in (MINE, b"\0" * 16, b"\xff" * 16, everything[240:]) for end in endings]
    keys = [f"k{number}" for number in range(len(intents))]
    await records.fill(keys[::2])
    async with below(records) as raw, below(records.through(records.reader)) as other:
        for key, intent in zip(keys, intents, strict=True):
            expect_done(
                (await raw.apply(Prepare(records.name, key, intent)))[0],
                version=None,
                existed=key in keys[::2],
            )
        for reader in (raw, other):
            found = await reader.intents(*keys)
            assert found == intents
            assert {type(intent) for intent in found} == {bytes}
            listed = await reader.listed()
            assert {place: record.intent for place, record in listed.items()} == {
                (records.name, key): intent for key, intent in zip(keys, intents, strict=True)
            }
        releases = [Release(records.name, k, Holds(i[:16])) for k, i in zip(keys, intents, strict=True)]
        assert [done.error for done in await other.apply(*releases)] == [None] * len(keys)
        assert await raw.intents(*keys) == [None] * len(keys)
