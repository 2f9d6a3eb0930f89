"""Ending intents: applied or taken back by who prepared them, and listed until then."""

from __future__ import annotations

from dataclasses import replace

from daystore.abc import (
    ABSENT,
    KEEP,
    Compare,
    Delete,
    FieldValue,
    Holds,
    Op,
    Prepare,
    Put,
    Release,
)
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record, raises
from daystore_compliance.env import Env
from daystore_compliance.families import FAMILIES
from daystore_compliance.preparing import NEEDS, below, expect_done, expect_refused, seen


@case("intent.holds", requires=NEEDS)
async def holds(env: Env) -> None:
    """Only who names the transaction can apply or take back; anybody else is refused, and nothing changes."""
    records = env.records()
    await records.fill(["mine", "free"])
    async with below(records) as raw:
        tx = await raw.begin()
        await raw.prepare(records.a_put("mine", b"2"), tx, existed=True)
        await raw.prepare(records.a_put("new", b"2"), tx, existed=False)
        first, last = bytes((tx[0] ^ 1,)), bytes((tx[15] ^ 1,))
        near = [tx[:15] + last, first + tx[1:], tx[1:] + tx[:1], b"%" * 16, b"\0" * 16]
        tries = [(key, other) for key in ("mine", "new") for other in near]
        for key, other in [*tries, ("free", tx), ("none", tx)]:
            before = await raw.get(key)
            live = before.version if before is not None and before.is_alive(env.clock()) else None
            for operation in (
                records.a_put(key, b"never", expect=Holds(other)),
                records.a_delete(key, expect=Holds(other)),
                Release(records.name, key, Holds(other)),
            ):
                expect_refused((await raw.apply(operation))[0].error, VersionConflict, records, key, live)
                with raises(VersionConflict) as caught:
                    await raw.atomically(operation)
                expect_refused(caught.error, VersionConflict, records, key, live)
                after = await raw.get(key)
                assert (after is None) == (before is None)
                if before is not None:
                    assert_same_record(after, before, f"a read after {operation}")
    await records.expect({"mine": b"mine", "free": b"free"}, "new", "none")


@case("intent.applies", requires={*NEEDS, "query", "ttl"}, variants={"alone": False, "atomic": True})
async def applies(env: Env, is_atomic: bool) -> None:
    """What is applied replaces the live record, or makes a new one, and the intent is gone with it."""
    records = env.records()
    env.clock.align()
    deadline = env.clock.deadline(60)
    await records.put("mortal", b"1", fields={"n": 1, "m": 1}, expires_at=deadline)
    await records.put("forever", b"1", fields={"n": 1})
    await records.put("ended", b"1", fields={"n": 1})
    await records.put("decoy", b"1", fields={"n": 1})
    begin = env.clock()
    keys = ("mortal", "forever", "new", "ended", "never", "decoy")
    fields: dict[str, FieldValue] = {"n": 2, "o": "x"}
    then = {"mortal": deadline, "forever": None, "new": None}
    async with below(records) as raw:
        tx = await raw.begin()
        changes: dict[str, Put | Delete] = {
            key: records.a_put(key, b"2", fields=fields, expires_at=KEEP, content_type="t/2") for key in then
        }
        changes |= {key: records.a_delete(key) for key in ("ended", "never")}
        for key, change in changes.items():
            await raw.prepare(change, tx, existed=key not in ("new", "never"))
        env.clock.advance(2)
        for key, change in changes.items():
            apply = raw.atomically if is_atomic else raw.apply
            (done,) = await apply(replace(change, expect=Holds(tx)))
            version = change.version if isinstance(change, Put) else None
            expect_done(done, version=version, existed=key not in ("new", "never"))
        assert await raw.intents(*keys) == [None] * len(keys)
        assert await raw.listed() == {}
        found = await seen(records, *keys)
        assert sorted(found) == ["decoy", "forever", "mortal", "new"]
        for key, expires_at in then.items():
            record, change = found[key], changes[key]
            assert isinstance(change, Put)
            assert (record.value, record.version, record.content_type) == (b"2", change.version, "t/2")
            assert dict(record.fields) == fields
            assert record.created_at == (begin if key != "new" else env.clock())
            assert (record.updated_at, record.expires_at) == (env.clock(), expires_at)
        assert await records.keys(Compare("n", Op.EQ, 1)) == ["decoy"]
        assert await records.keys(Compare("n", Op.EQ, 2)) == sorted(then)
        writing = await raw.apply(*(records.a_put(key, b"3", expect=ABSENT) for key in ("ended", "never")))
        assert [(one.error, one.existed) for one in writing] == [(None, False)] * 2
        (done_too,) = await raw.apply(records.a_put("mortal", b"3", expect=found["mortal"].version))
        assert (done_too.error, done_too.existed) == (None, True)


@case("intent.releases", requires={*NEEDS, "query", "ttl"}, variants={"alone": False, "atomic": True})
async def releases(env: Env, is_atomic: bool) -> None:
    """What is taken back leaves the record exactly as it was, also its deadline; anybody may write again."""
    records = env.records()
    await records.put("mortal", b"1", fields={"n": 1}, expires_at=env.clock.deadline(60), content_type="t/a")
    await records.put("forever", b"1", fields={"n": 1, "t": ("x",)})
    await records.put("decoy", b"1")
    keys = ("mortal", "forever", "decoy", "new")
    before = await seen(records, *keys)
    async with below(records) as raw:
        tx, other = await raw.begin(), await raw.begin()
        for key in ("mortal", "forever", "new"):
            await raw.prepare(records.a_put(key, b"2", fields={"n": 2}), tx, existed=key != "new")
        await raw.prepare(records.a_delete("decoy"), other, existed=True)
        env.clock.advance(2)
        apply = raw.atomically if is_atomic else raw.apply
        for key in ("mortal", "forever", "new"):
            (done,) = await apply(Release(records.name, key, Holds(tx)))
            expect_done(done, version=None, existed=key != "new")
        assert [one is None for one in await raw.intents(*keys)] == [True, True, False, True]
        assert list(await raw.listed()) == [(records.name, "decoy")]
        after = await seen(records, *keys)
        assert list(after) == list(before)
        for key, record in before.items():
            assert_same_record(after[key], record, "a read of what was released")
        expect_done((await raw.apply(records.a_check("new", ABSENT)))[0], version=None, existed=False)
        made = await raw.apply(records.a_put("forever", b"4", expect=before["forever"].version))
        assert (made[0].error, made[0].existed) == (None, True)
        env.clock.advance(57.9)
        assert sorted(await seen(records, *keys)) == ["decoy", "forever", "mortal"]
        env.clock.advance(0.2)
        assert sorted(await seen(records, *keys)) == ["decoy", "forever"], "the deadline is lost"


# --- What is prepared ----------------------------------------------------------------------------------------


@case("intent.listed", requires={*NEEDS, "ttl"})
async def listed(env: Env) -> None:
    """Everything that is prepared is listed, alive or not, of one collection or of all, and nothing else."""
    records, other, empty = env.records(), env.records(), env.records()
    many = [f"many{number:04}" for number in range(env.scale(40, 1_200))]
    names = list(dict.fromkeys((*FAMILIES["delimiter"][:12], *FAMILIES["glob"], *many)))
    await records.fill([*names, "free", "released", "applied"])
    for key in ("expires", "dead"):
        await records.put(key, expires_at=env.clock.deadline(60))
    await other.fill(["a", "free"])
    async with below(records) as raw, below(records.through(records.reader)) as again_raw:
        tx = await raw.begin()
        prepared = {(records.name, key) for key in (*names, "expires", "released", "applied", "new")}
        prepared |= {(other.name, "a"), (other.name, "new")}
        for start in range(0, len(prepared), 50):
            part = [
                Prepare(*place, tx + repr(place).encode()) for place in sorted(prepared)[start : start + 50]
            ]
            assert [done.error for done in await raw.apply(*part)] == [None] * len(part)
        ended = {(records.name, "released"), (records.name, "applied")}
        await raw.apply(
            Release(records.name, "released", Holds(tx)), records.a_put("applied", expect=Holds(tx))
        )
        env.clock.advance(61)
        mine = {place for place in prepared - ended if place[0] == records.name}
        elsewhere = below(replace(records, name=other.name)), below(replace(records, name=empty.name))
        async with elsewhere[0] as raw_other, elsewhere[1] as raw_empty:
            for reader in (raw, again_raw):
                found = await reader.listed()
                assert found.keys() == mine
                found = await reader.listed(everywhere=True)
                assert found.keys() == prepared - ended
                for place, record in found.items():
                    assert record.intent == tx + repr(place).encode()
                    assert record.is_alive(env.clock()) is (place[1] not in ("expires", "new"))
                for place in ((records.name, "many0000"), (other.name, "a")):
                    stored = await raw.participant.get(*place)
                    assert_same_record(stored, found[place], "a read of what is listed")
            assert set(await raw_other.listed()) == {(other.name, "a"), (other.name, "new")}
            assert await raw_empty.listed() == {}
        stranger = await env.open(f"{env.namespace}x")
        async with below(records.through(stranger)) as raw_stranger:
            assert await raw_stranger.listed() == await raw_stranger.listed(everywhere=True) == {}
