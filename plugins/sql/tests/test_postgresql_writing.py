"""What PostgreSQL's statement for writing does beside others that hold the same record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import pytest

from daystore.abc import ABSENT, Expectation, Put, WriteBatch
from daystore.errors import VersionConflict
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.changes import Changes
from daystore_sql.network.planning import plan

T = TypeVar("T")

HOLD = """
SELECT version FROM ds_record r JOIN ds_scope s ON s.id = r.scope WHERE s.namespace = $1 FOR UPDATE OF r
"""
CHANGE = "UPDATE ds_record r SET version = $2 FROM ds_scope s WHERE s.id = r.scope AND s.namespace = $1"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"


async def soon(what: Awaitable[T]) -> T:
    """Wait for what must not wait for anybody."""
    return await asyncio.wait_for(what, 10)


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[tuple[SQLAdapter, str, asyncpg.Connection[Any], bytes]]:
    """An adapter with a record, its name for the server, another connection, and its namespace for that."""
    name = os.urandom(6).hex()
    other: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        named = f"{url}?application_name={name}"
        async with SQLAdapter.from_url(named, namespace=name, sweep_interval=1e9) as adapter:
            yield adapter, name, other, name.encode()
    finally:
        await other.close()


@pytest.mark.parametrize("expect", ["another", ABSENT], ids=["version", "absence"])
def test_what_the_snapshot_contradicts_fails_without_waiting_for_the_record(
    postgresql: str, expect: Expectation
) -> None:
    """Versions do not come back: whatever the holder of the record does, the condition cannot hold any more."""

    async def main() -> None:
        async with beside(postgresql) as (adapter, _, other, namespace):
            version = await adapter.set("things", "k", b"first")
            async with other.transaction():
                assert await other.fetchval(HOLD, namespace) == version.encode()
                for atomic in (False, True):
                    batch = WriteBatch([Put("things", "k", b"second", expect)], atomic=atomic)
                    assert (await soon(conflict_of(adapter, batch))).current == version

    asyncio.run(main())


async def conflict_of(adapter: SQLAdapter, batch: WriteBatch) -> VersionConflict:
    """Write, and return the conflict that comes of it."""
    try:
        (outcome,) = await adapter.write(batch)
    except VersionConflict as error:
        return error
    assert isinstance(outcome.error, VersionConflict)
    return outcome.error


@pytest.mark.parametrize("atomic", [False, True], ids=["single", "atomic"])
def test_what_a_change_has_made_fail_is_a_conflict_and_not_sent_again(
    postgresql: str, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    """Only what still holds on a changed record needs another look, for the index entries that it cannot see."""

    async def main() -> None:
        async with beside(postgresql) as (adapter, name, other, namespace):
            version = await adapter.set("things", "k", b"first", fields={"f": 1})
            await adapter.set("things", "warm", b"", fields={"f": 1, "g": 1})  # whose names are known then
            engine: Any = adapter._opened
            write, sent = engine.primary.dialect.write, []

            async def counted(*arguments: Any, **options: Any) -> Any:
                sent.append(arguments)
                return await write(*arguments, **options)

            monkeypatch.setattr(engine.primary.dialect, "write", counted)
            put = Put("things", "k", b"second", version, fields={"f": 1, "g": 2})
            async with other.transaction():
                await other.execute(CHANGE, namespace, b"changed")
                writing = asyncio.ensure_future(conflict_of(adapter, WriteBatch([put], atomic=atomic)))
                async with asyncio.timeout(10):
                    while not await other.fetchval(WAITING, name):
                        assert not writing.done(), "it has not waited for the record"
            assert (await soon(writing)).current == "changed"
            assert len(sent) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("version", "waits"),
    [("first", "on"), ("another", "off")],
    ids=["what was written", "what was not"],
)
def test_the_disk_is_waited_for_where_something_was_written(
    postgresql: str, version: str, waits: str
) -> None:
    """A failed condition may have locked the record, and the commit of that is of no use to anybody."""

    async def main() -> None:
        async with beside(postgresql) as (adapter, _, _, _):
            await adapter.write(WriteBatch([Put("things", "k", b"", version="first")]))
            engine: Any = adapter._opened
            batch = WriteBatch([Put("things", "k", b"second", version)])
            changes = Changes(plan(engine.primary.knowing, batch)[0], atomic=False, now=adapter.clock())
            async with engine.primary.pool.connection() as connection:
                await connection.fetch("BEGIN")
                ticket = engine.writer.ticket(engine.primary.deadline())
                (verdict,) = await engine.primary.dialect.write(connection, changes, ticket, inside=True)
                assert verdict.done == (waits == "on")
                ((found,),) = await connection.fetch("SELECT current_setting('synchronous_commit')")
                await connection.fetch("ROLLBACK")
            assert found == waits

    asyncio.run(main())
