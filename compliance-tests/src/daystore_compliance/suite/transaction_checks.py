"""How much a commit checks: every key and every query of a transaction, however many and in whatever order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from daystore.abc import Compare, FieldValue, Op, RecordTransaction
from daystore.errors import TransactionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.transacting import NEEDS, begin, put, value

ALIKE = (
    "key",
    "Key",
    "KEY",
    "key ",
    " key",
    "key%",
    "k_y",
    "key/",
    "key\0",
    "keykey",
    "k\u00e9y",
    "ke\u0301y",
)

Read = Callable[[RecordTransaction], Awaitable[object]]


async def _commits(records: Records, read: Read, change: Callable[[], Awaitable[object]]) -> bool:
    """Write and read, let another writer change something, and tell whether the transaction commits."""
    try:
        async with begin(records) as tx:
            await put(tx, records, "side", fields={"side": True})
            await read(tx)
            await change()
    except TransactionConflict:
        assert await records.get("side") is None, "a transaction in conflict was applied"
        return False
    assert await records.value("side") == b"tx"
    await records.delete("side")
    return True


@case("txn.many_queries", requires=NEEDS)
async def many_queries(env: Env) -> None:
    """Of many queries in one transaction each is checked: the first, the last and every one between."""
    records = env.records()
    await records.fill({f"k{n:02}": {"n": n} for n in range(24)})

    async def read(tx: RecordTransaction) -> None:
        for number in range(24):
            await tx.query(records.query(Compare("n", Op.EQ, number)))

    for number in (0, 1, 10, 23):

        async def change(number: int = number) -> None:
            await records.put("new", fields={"n": number})

        assert not await _commits(records, read, change), f"query {number} of 24 is not checked"
        await records.delete("new")
    assert await _commits(records, read, lambda: records.put("new", fields={"n": 24}))


@case("txn.mixed_reads", requires=NEEDS)
async def mixed_reads(env: Env) -> None:
    """Keys and queries of one transaction are checked together, also those read after its own writes."""
    records, other = env.records(), env.records()

    async def by_key(tx: RecordTransaction) -> None:
        await tx.read(records.name, ["read", "missing"])

    async def by_query(tx: RecordTransaction) -> None:
        await tx.query(records.query(Compare("n", Op.EQ, 1)))
        await tx.count(other.query())

    async def keys_first(tx: RecordTransaction) -> None:
        await by_key(tx)
        await by_query(tx)

    async def queries_first(tx: RecordTransaction) -> None:
        await by_query(tx)
        await put(tx, other, "more")
        await by_key(tx)

    await records.fill({"read": {"n": 0}, "found": {"n": 1}, "beside": {"n": 2}})
    for read in (keys_first, queries_first):
        for name, conflicts in {"read": True, "missing": True, "found": True, "beside": False}.items():

            async def change(name: str = name) -> None:
                await records.put(name, b"by another", fields={"n": {"found": 1, "beside": 2}.get(name, 0)})

            assert await _commits(records, read, change) is not conflicts, name
            await records.delete("missing")
            await other.delete("more")
        assert not await _commits(records, read, lambda: other.put("phantom"))
        await other.delete("phantom")


@case("txn.large_query", requires=NEEDS)
async def large_query(env: Env) -> None:
    """A query that finds 1,010 records is checked to the last of them, and beyond it."""
    records = env.records()
    size = 1010
    await records.fill({f"k{n:04}": {"n": n} for n in range(size)})
    last = f"k{size - 1:04}"
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "rewritten": lambda: records.put(last, fields={"n": size}),
        "phantom": lambda: records.put("k9", fields={"n": size}),
        "beside": lambda: records.put("z", fields={"n": -1}),
    }
    for name, change in changes.items():
        committed = await _commits(
            records, lambda tx: tx.count(records.query(Compare("n", Op.GE, 0))), change
        )
        assert committed is (name == "beside"), name


@case("txn.keys_alike", requires=NEEDS)
async def keys_alike(env: Env) -> None:
    """A key that was read, there or missing, conflicts with changes of itself and of none that looks alike."""
    records = env.records()
    await records.fill(ALIKE[::2])
    for key in ALIKE:

        async def read(tx: RecordTransaction, key: str = key) -> None:
            await value(tx, records, key)

        async def itself(key: str = key) -> None:
            await records.put(key, b"by another")

        async def others(key: str = key) -> None:
            await env.adapter.set_batch([records.a_put(one, b"by another") for one in ALIKE if one != key])

        state = await records.get(key)
        assert not await _commits(records, read, itself), repr(key)
        if state is None:
            await records.delete(key)
        assert await _commits(records, read, others), repr(key)
        await env.adapter.delete_batch(records.name, ALIKE[1::2])


@case("txn.value_sizes", requires=NEEDS)
async def value_sizes(env: Env) -> None:
    """Values of every size around the usual thresholds are committed whole, beside each other and alone."""
    records = env.records()
    sizes = (0, 1, 4095, 4097, 65_535, 65_536, 65_537, 262_145, 1_048_577)
    expected = {f"k{size}": bytes(n % 251 for n in range(97)) * (size // 97 + 1) for size in sizes}
    expected = {key: value[: int(key[1:])] for key, value in expected.items()}
    async with begin(records) as tx:
        await tx.write([records.a_put(key, value) for key, value in expected.items()])
    for key, whole in expected.items():
        assert await records.value(key) == whole, f"{len(whole)} bytes"
    async with begin(records) as tx:
        for key, whole in expected.items():
            assert await value(tx, records, key) == whole
        await put(tx, records, "k65537", b"\xff" * 70_000)
        assert await value(tx, records, "k65537") == b"\xff" * 70_000
    assert await records.value("k65537") == b"\xff" * 70_000


@case("txn.abort_then_error", requires=NEEDS)
async def abort_then_error(env: Env) -> None:
    """An error after an abort propagates as it is, from the records' transaction and from that of the stores."""
    records, storage = env.records(), env.storage()
    notes = storage.store("notes")
    boom = RuntimeError("boom")
    with raises(RuntimeError) as caught:
        async with begin(records) as tx:
            await put(tx, records, "a")
            tx.abort()
            raise boom
    assert caught.error is boom
    with raises(RuntimeError) as caught:
        async with storage.transaction() as outer:
            await outer[notes].set("a", 1)
            outer.abort()
            raise boom
    assert caught.error is boom
    async with storage.transaction() as outer:
        await outer[notes].set("b", 1)
    assert (await notes.get("a", "none"), await notes.get("b")) == ("none", 1)
    await records.expect({}, "a")


@case("txn.last_write_counts", requires=NEEDS)
async def last_write_counts(env: Env) -> None:
    """Of writes and deletes of one key in a transaction the last one counts, read before or blind."""
    for there in (True, False):
        for seen in (True, False):
            records = env.records()
            keys = {"pd": None, "dp": b"2", "pp": b"2", "dd": None, "pdp": b"3", "dpd": None}
            if there:
                await records.fill([*keys, "kept"])
            async with begin(records) as tx:
                if seen:
                    await tx.read(records.name, list(keys))
                for how in keys:
                    for number, step in enumerate(how, 1):
                        if step == "p":
                            await put(tx, records, how, b"%d" % number)
                        else:
                            await tx.write([records.a_delete(how)])
                found = await tx.read(records.name, list(keys))
                assert [r and r.value for r in found] == list(keys.values())
            left = {key: value for key, value in keys.items() if value is not None}
            await records.expect(left | ({"kept": b"kept"} if there else {}), *keys)


@case("txn.phantom_after_page", requires=NEEDS)
async def phantom_after_page(env: Env) -> None:
    """That nothing comes after a full page is something read: a record added behind it fails the commit."""
    records, other = env.records(), env.records()
    await records.fill({"b": {"n": 1}, "d": {"n": 1}})
    full = records.query(Compare("n", Op.EQ, 1), limit=2)

    async def commit(key: str, fields: dict[str, FieldValue]) -> None:
        async with begin(records) as tx:
            page = await tx.query(full)
            assert ([record.key for record in page.records], page.cursor) == (["b", "d"], None)
            await put(tx, other, "side")
            await records.put(key, fields=fields)

    await commit("f", {"n": 2})
    assert await other.delete("side")
    with raises(TransactionConflict):
        await commit("e", {"n": 1})
    await other.expect({}, "side")
    await records.delete("e")
    await commit("a", {})
    await other.expect({"side": b"tx"})
