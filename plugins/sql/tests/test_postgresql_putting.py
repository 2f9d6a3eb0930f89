"""What PostgreSQL's statement for puts makes of what others do, and when it is left to `WRITE`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from daystore.abc import KEEP, Compare, Op, Outcome, Put, Query, WriteBatch, system_clock
from daystore.errors import VersionConflict
from daystore_sql.adapter import SQLAdapter
from daystore_sql.dialects.postgresql_putting import PUT, PUT_BARE
from daystore_sql.dialects.postgresql_statements import WRITE

SCOPE = "scope IN (SELECT id FROM ds_scope WHERE namespace = $1)"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
NAMES = {PUT: "put", PUT_BARE: "bare", WRITE: "write"}

Fields = Mapping[str, int]
SAME, OTHER, NONE = {"f": 1}, {"f": 2}, dict[str, int]()


class Beside:
    """An adapter with records, another connection, and which statements the adapter sends to write.

    Args:
        adapter: The adapter, which is open.
        name: Its namespace, and its name for the server.
        other: The other connection.
    """

    def __init__(self, adapter: SQLAdapter, name: str, other: asyncpg.Connection[Any]) -> None:
        self.adapter = adapter
        self.name = name
        self.other = other
        self.sent: list[str] = []

    async def listen(self) -> None:
        """Note what goes over the one connection that the adapter has."""
        (connection,) = self.adapter._opened.primary.pool._idle  # type: ignore[attr-defined]
        fetch = connection.fetch

        async def noted(text: str, parameters: Any = ()) -> Any:
            if text in NAMES:
                self.sent.append(NAMES[text])
            return await fetch(text, parameters)

        connection.fetch = noted

    async def write(self, *puts: Put, atomic: bool = False) -> list[Outcome]:
        """Write puts, and forget what was sent before."""
        self.sent.clear()
        batch = WriteBatch(puts, atomic=atomic)
        return await asyncio.wait_for(self.adapter._write(batch), 10)  # which looks after no intent

    async def write_while(self, change: str, *puts: Put) -> list[Outcome]:
        """Write puts which have to wait for a change that is not committed until they do."""
        async with self.other.transaction():
            await self.other.execute(f"{change} {SCOPE} AND key = 'k2'", self.name.encode())
            writing = asyncio.ensure_future(self.write(*puts))
            async with asyncio.timeout(10):
                while not await self.other.fetchval(WAITING, self.name):
                    assert not writing.done(), "it has not waited for the record"
        return await writing

    async def found(self, fields: Fields) -> list[str]:
        """Return the keys that the index tells of."""
        ((field, value),) = fields.items()
        page = await self.adapter.query(Query("things", where=Compare(field, Op.EQ, value)))
        return [record.key for record in page.records]


@asynccontextmanager
async def beside(url: str, fields: Fields = SAME, **options: Any) -> AsyncIterator[Beside]:
    """An adapter with the records k1, k2 and k3, which have some fields, and somebody else."""
    name = os.urandom(6).hex()
    other: asyncpg.Connection[Any] = await asyncpg.connect(url)
    options = {"namespace": name, "connections": 1, "sweep_interval": 1e9, **options}
    try:
        async with SQLAdapter.from_url(f"{url}?application_name={name}", **options) as adapter:
            await adapter.set_batch(puts("first", fields))
            sweep = adapter._opened.sweeper.task  # type: ignore[attr-defined]
            await asyncio.wait([sweep])
            there = Beside(adapter, name, other)
            await there.listen()
            yield there
    finally:
        await other.close()


def puts(value: str, fields: Fields, keys: tuple[str, ...] = ("k1", "k2", "k3")) -> list[Put]:
    """Puts of all keys."""
    return [Put("things", key, value.encode(), fields=fields) for key in keys]


@pytest.mark.parametrize("atomic", [False, True], ids=["single", "atomic"])
@pytest.mark.parametrize(
    ("before", "fields", "sent"),
    [
        (SAME, SAME, ["put"]),
        (SAME, OTHER, ["put"]),
        (NONE, SAME, ["put"]),
        (NONE, NONE, ["bare"]),
        (SAME, NONE, ["bare", "write"]),
    ],
    ids=["the same fields", "other fields", "new fields", "no fields", "no fields any more"],
)
def test_new_records_and_old_ones_are_put_at_once(
    postgresql: str, before: Fields, fields: Fields, sent: list[str], atomic: bool
) -> None:
    """In one statement, unless fields are gone; the index tells of what the records are now."""

    async def main() -> None:
        async with beside(postgresql, before) as there:
            first = await there.adapter.get("things", "k1")
            outcomes = await there.write(*puts("second", fields, ("k0", "k1", "k2", "k4")), atomic=atomic)
            assert [outcome.existed for outcome in outcomes] == [False, True, True, False]
            assert there.sent == sent
            record = await there.adapter.get("things", "k1")
            assert first is not None
            assert record is not None
            assert (record.value, record.created_at, record.fields) == (b"second", first.created_at, fields)
            of = dict.fromkeys(("k0", "k1", "k2", "k4"), fields) | {"k3": before}
            for some in (SAME, OTHER):
                assert set(await there.found(some)) == {key for key, has in of.items() if has == some}

    asyncio.run(main())


# What somebody does to k2, what fields it had and is given, whether it existed, and what is sent.
CHANGES: dict[str, tuple[str, Fields, Fields, bool, list[str]]] = {
    "overwritten": ("UPDATE ds_record SET version = 'x' WHERE", SAME, SAME, True, ["put"]),
    "overwritten, and moves": (
        "UPDATE ds_record SET version = 'x' WHERE",
        SAME,
        OTHER,
        True,
        ["put", "write"],
    ),
    "moved": (
        "UPDATE ds_record SET version = 'x', fields = '{}' WHERE",
        SAME,
        SAME,
        True,
        ["put", "write"],
    ),
    "expired": (
        "UPDATE ds_record SET expires_at = 1000, version = 'x' WHERE",
        SAME,
        SAME,
        False,
        ["put"],
    ),
    "deleted": ("DELETE FROM ds_record WHERE", SAME, SAME, False, ["put", "write"]),
    "bare, overwritten": ("UPDATE ds_record SET version = 'x' WHERE", NONE, NONE, True, ["bare"]),
    "bare, given fields": ("UPDATE ds_record SET fields = '{}' WHERE", NONE, NONE, True, ["bare", "write"]),
    "bare, expired": ("UPDATE ds_record SET expires_at = 1000 WHERE", NONE, NONE, False, ["bare"]),
    "bare, deleted": ("DELETE FROM ds_record WHERE", NONE, NONE, False, ["bare"]),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_done_to_a_record_while_it_is_waited_for_counts(postgresql: str, kind: str) -> None:
    """The others are written as well, and exactly once."""
    change, before, fields, existed, sent = CHANGES[kind]

    async def main() -> None:
        async with beside(postgresql, before) as there:
            await there.adapter.set("things", "warm", b"", fields=OTHER)
            first = await there.adapter.get("things", "k2")
            outcomes = await there.write_while(change, *puts("second", fields))
            assert [outcome.existed for outcome in outcomes] == [True, existed, True]
            assert there.sent == sent
            records = await there.adapter.get_batch("things", ["k1", "k2", "k3"])
            assert {record.value for record in records.values()} == {b"second"}
            assert [record.version for record in records.values()] == [
                outcome.version for outcome in outcomes
            ]
            assert first is not None
            assert (records["k2"].created_at == first.created_at) == existed

    asyncio.run(main())


@pytest.mark.parametrize("fields", [SAME, NONE], ids=["fields", "bare"])
def test_an_intent_keeps_one_put_from_being_done_and_not_the_others(postgresql: str, fields: Fields) -> None:
    async def main() -> None:
        async with beside(postgresql, fields) as there:
            intent = "UPDATE ds_record SET intent = decode(repeat('00', 20), 'hex') WHERE"
            outcomes = await there.write_while(intent, *puts("second", fields))
            assert [outcome.error is None for outcome in outcomes] == [True, False, True]
            assert there.sent == ["put" if fields else "bare", "write"]
            with pytest.raises(VersionConflict):
                await there.write(*puts("third", fields), atomic=True)
            records = await there.adapter.get_batch("things", ["k1", "k3"])
            assert {record.value for record in records.values()} == {b"second"}

    asyncio.run(main())


@pytest.mark.parametrize("fields", [SAME, NONE], ids=["fields", "bare"])
def test_a_record_that_was_born_at_this_instant_exists(postgresql: str, fields: Fields) -> None:
    """By the instant at which it was born it cannot be told from one that was born anew."""
    instant = system_clock()

    async def main() -> None:
        async with beside(postgresql, fields, clock=lambda: instant) as there:
            outcomes = await there.write(*puts("second", fields))
            assert [outcome.existed for outcome in outcomes] == [True] * 3
            assert there.sent == ["put" if fields else "bare", "write"]

    asyncio.run(main())


@pytest.mark.parametrize("fields", [SAME, NONE], ids=["fields", "bare"])
def test_the_expiry_is_that_of_each_put(postgresql: str, fields: Fields) -> None:
    """Kept where there is one to be kept, and none of a record that was expired."""
    now = [10**15]

    async def main() -> None:
        async with beside(postgresql, fields, clock=lambda: now[0]) as there:

            async def write(*expiries: Any) -> list[bool]:
                outcomes = await there.write(
                    *(
                        Put("things", key, b"", expires_at=expiry, fields=fields)
                        for key, expiry in zip(keys, expiries, strict=True)
                    )
                )
                assert there.sent == ["put" if fields else "bare"]
                return [outcome.existed for outcome in outcomes]

            keys = ("k1", "k2", "k3", "k4", "k5")
            soon, later = now[0] + 5000, now[0] + 9000
            now[0] += 1000
            assert await write(soon, later, None, soon, later) == [True, True, True, False, False]
            now[0] += 5000  # k1 and k4 are expired, and were not swept
            assert await write(KEEP, KEEP, KEEP, later + 5000, None) == [False, True, True, False, True]
            records = await there.adapter.get_batch("things", keys)
            assert [records[key].expires_at for key in keys] == [None, later, None, later + 5000, None]
            born = [records[key].created_at for key in keys]
            assert born == [now[0], 10**15, 10**15, now[0], 10**15 + 1000]

    asyncio.run(main())
