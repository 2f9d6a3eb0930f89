"""MariaDB as a server: its settings, its privileges, its layout, and bytes of every kind."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from math import fsum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from daystore.abc import (
    Aggregate,
    Aggregation,
    And,
    Compare,
    FieldValue,
    Function,
    Holds,
    Op,
    Order,
    Prepare,
    Put,
    Query,
    Release,
    WriteBatch,
)
from daystore.errors import BackendUnavailable, ConfigError
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.mysql import ask

HOSTILE = [
    b"",
    b"\0",
    b"'",
    b'"',
    b"\\",
    b"\\'",
    b"'; DROP TABLE ds_record; --",
    b"\x1a",
    b"%s %(a)s {0} ? :a",
    b"\xff\xfe\x80",
    b"\xc3\x28",
    b"\xf0\x9f\x98\x80",
    b"\r\n\t",
    b" ends with a space ",
    bytes(range(256)),
    os.urandom(70_000),
]


def database(url: str) -> str:
    """Make a database, and return the URL of it."""
    name = f"test_{os.urandom(6).hex()}"
    ask(url, f"CREATE DATABASE {name}")
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def adapter_of(url: str, **options: Any) -> SQLAdapter:
    return SQLAdapter.from_url(url, **{"namespace": os.urandom(6).hex(), **options})


# --- Bytes -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["as it comes", "hostile"])
def settings(mariadb: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Settings of the server: its own, or those that would change what statements mean or how much they return."""
    if request.param == "as it comes":
        yield mariadb
        return
    changed = {
        "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,ORACLE'",
        "sql_select_limit": "1",
        "completion_type": "'CHAIN'",
        "time_zone": "'+07:30'",
        "max_sort_length": "64",
        "tx_isolation": "'READ-UNCOMMITTED'",
        "autocommit": "0",
        "character_set_server": "'latin1'",
    }
    before = {name: ask(mariadb, f"SELECT @@GLOBAL.{name}")[0][0] for name in changed}
    for name, value in changed.items():
        ask(mariadb, f"SET GLOBAL {name} = {value}")
    try:
        yield mariadb
    finally:
        for name, old in before.items():
            ask(mariadb, f"SET GLOBAL {name} = {old if isinstance(old, int) else repr(old)}")


def test_bytes_stay_as_they_are(settings: str) -> None:
    """Every byte of keys, values, versions, fields and names is kept, whatever the server's settings are."""
    texts = [text for raw in HOSTILE if 0 < len(text := raw.decode("utf-8", "ignore")) <= 128]
    puts = [Put("things", f"{n}", raw, content_type="a'b\\") for n, raw in enumerate(HOSTILE)]
    puts += [
        Put(
            "things",
            f"k{text}"[:100],
            b"",
            fields={f"f{text}"[:120]: text, "l": (text, "x")},
            encodings=(text,),
        )
        for text in texts
    ]
    url = database(settings)

    async def main() -> None:
        async with adapter_of(url) as adapter:
            await adapter.set_batch(puts)
            found = await adapter.get_batch("things", [put.key for put in puts])
            for put in puts:
                record = found[put.key]
                assert (record.value, record.version, record.fields) == (put.value, put.version, put.fields)
                assert (record.content_type, record.encodings) == (put.content_type, put.encodings)
                assert await adapter.get("things", put.key) == record
            for put in puts[len(HOSTILE) :]:
                for name, value in put.fields.items():
                    if isinstance(value, tuple):
                        where = Compare(name, Op.CONTAINS, value[0])
                    else:
                        where = Compare(name, Op.EQ, value)
                    page = await adapter.query(Query("things", where=where))
                    assert put.key in [record.key for record in page.records]
            keys = sorted((put.key for put in puts), key=str.encode)
            page = await adapter.query(Query("things"))
            assert [record.key for record in page.records] == keys
            again = await adapter.write(WriteBatch(puts))
            assert all(outcome.existed for outcome in again)
            intents = [os.urandom(16) + raw for raw in HOSTILE]
            prepares = [Prepare("things", put.key, i) for put, i in zip(puts, intents, strict=False)]
            await adapter.write(WriteBatch(prepares))
            carried = {record.key: record.intent for _, record in await adapter._prepared("things")}
            assert carried == {prepare.key: prepare.intent for prepare in prepares}
            releases = [Release("things", p.key, Holds(p.intent[:16])) for p in prepares]
            assert all(outcome.error is None for outcome in await adapter.write(WriteBatch(releases)))

    asyncio.run(main())


def test_order_is_the_order_of_bytes(settings: str) -> None:
    """Strings that differ in their last byte alone, in trailing spaces and NULs, are told apart and ordered."""
    values = ["a", "a ", "a\0", "A", "á", "x" * 1024, "x" * 1023 + "y", "x" * 1023, "\U0010ffff", "z"]

    async def main() -> None:
        async with adapter_of(database(settings)) as adapter:
            await adapter.set_batch(
                [Put("things", f"{n}", b"", fields={"s": value}) for n, value in enumerate(values)]
            )
            page = await adapter.query(Query("things", order=Order("s")))
            assert [record.fields["s"] for record in page.records] == sorted(values, key=str.encode)
            rows = await adapter.aggregate(
                Query("things"), Aggregation({"n": Aggregate(Function.COUNT)}, group_by=("s",))
            )
            assert [row.group[0] for row in rows] == sorted(values, key=str.encode)

    asyncio.run(main())


def test_sums_are_exact(mariadb: str) -> None:
    """Sums of integers beyond 64 bits, negative ones too, and of floats of any size, are rounded once at most."""
    rng = random.Random(3)
    floats = [rng.uniform(-1, 1) * 2.0 ** rng.randrange(-1070, 1000) for _ in range(500)]
    floats += [5e-324, -5e-324, 1e16, 1.0, -1e16, 0.1, 0.2, -0.0]
    numbers = [rng.randrange(-(2**63), 2**63) for _ in range(100)] + [2**63 - 1] * 3 + [-(2**63)] * 2

    async def main() -> None:
        async with adapter_of(mariadb) as adapter:
            await adapter.set_batch(
                [Put("things", f"f{n}", b"", fields={"f": value}) for n, value in enumerate(floats)]
                + [
                    Put("things", f"i{n}", b"", fields={"i": value, "b": value})
                    for n, value in enumerate(numbers)
                ]
                + [Put("things", f"b{n}", b"", fields={"b": value}) for n, value in enumerate(floats[-8:])]
            )
            functions = {name: Aggregate(Function.SUM, name) for name in ("f", "i", "b")}
            (row,) = await adapter.aggregate(Query("things"), Aggregation(functions))
            assert row.values["f"] == fsum(floats)
            assert row.values["i"] == sum(numbers)
            assert row.values["b"] == fsum([*numbers_apart(numbers), *floats[-8:]])

    asyncio.run(main())


def numbers_apart(numbers: list[int]) -> list[float]:
    """Return floats with the same sum: each integer in two halves, which floats hold exactly."""
    return [float(part) for number in numbers for part in ((number >> 32) << 32, number & 0xFFFFFFFF)]


# --- Plans -------------------------------------------------------------------------------------------------------

QUERIES: dict[str, Query] = {
    "by key": Query("things", limit=10),
    "equal": Query("things", where=Compare("s", Op.EQ, "s7"), limit=10),
    "equal, in": Query("things", where=Compare("s", Op.IN, ("s1", "s2")), limit=10),
    "contains": Query("things", where=Compare("l", Op.CONTAINS, "t3"), limit=10),
    "range": Query("things", where=Compare("n", Op.GE, 500), limit=10, order=Order("n")),
    "newest": Query("things", limit=10, order=Order("updated_at", descending=True)),
    "descending": Query("things", limit=10, order=Order("n", descending=True)),
    "both": Query(
        "things", where=And((Compare("s", Op.EQ, "s7"), Compare("l", Op.CONTAINS, "t7"))), limit=10
    ),
}


@pytest.mark.parametrize("many", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_plans_stay_flat(mariadb: str, many: int) -> None:
    """What the server reads for a get or a page does not grow with the collection; no table is ever analysed."""
    url = database(mariadb)

    def fields(n: int) -> dict[str, FieldValue]:
        return {"n": n, "s": f"s{n // 50}", "l": (f"t{n // 50}", "x")}

    async def visited(adapter: SQLAdapter) -> dict[str, int]:
        read: dict[str, int] = {}
        for name, query in QUERIES.items():
            await adapter.query(query)
            before = handled()
            await adapter.query(query)
            read[name] = handled() - before
        before = handled()
        await adapter.get("things", "k0000007")
        read["get"] = handled() - before
        return read

    def handled() -> int:
        return sum(int(value) for _, value in ask(url, "SHOW GLOBAL STATUS LIKE 'Handler_read%'"))

    async def main() -> None:
        async with adapter_of(url, sweep_interval=1e6) as adapter:
            few: dict[str, int] = {}
            for start in range(0, many, 1000):
                await adapter.set_batch(
                    [Put("things", f"k{n:07}", b"v", fields=fields(n)) for n in range(start, start + 1000)]
                )
                if start == 0:
                    few = await visited(adapter)
            grown = await visited(adapter)
            for name, before in few.items():
                assert grown[name] <= 2 * before + 300, (
                    f"{name}: {before} rows of 1,000 and {grown[name]} of {many}"
                )
                assert (await adapter.explain(QUERIES.get(name, QUERIES["by key"]))).indexed or name == "both"

    asyncio.run(main())


# --- The layout --------------------------------------------------------------------------------------------------

OPEN = """
import asyncio, sys
from daystore_sql.adapter import SQLAdapter
async def main():
    async with SQLAdapter.from_url(sys.argv[1]) as adapter:
        await adapter.set("things", sys.argv[2], b"v", fields={"n": 1})
asyncio.run(main())
"""


def test_many_processes_make_the_layout_once(mariadb: str) -> None:
    """Processes that open an empty database at the same time all find a layout, which one of them has made."""
    url = database(mariadb)
    command = [sys.executable, "-c", OPEN, url]
    processes = [subprocess.Popen([*command, f"k{n}"], stderr=subprocess.PIPE, text=True) for n in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    async def main() -> None:
        async with SQLAdapter.from_url(url) as adapter:
            assert len((await adapter.query(Query("things"))).records) == 4

    asyncio.run(main())
    assert ask(url, "SELECT COUNT(*) FROM ds_layout") == ((1,),)


def test_an_interrupted_layout_is_completed(mariadb: str) -> None:
    """Wherever the making of the tables was interrupted, the next one to open the database completes it."""
    complete = database(mariadb)

    async def use(url: str) -> None:
        async with adapter_of(url) as adapter:
            await adapter.set("things", "k", b"v", fields={"n": 1})
            page = await adapter.query(Query("things", where=Compare("n", Op.EQ, 1)))
            assert [record.key for record in page.records] == ["k"]

    asyncio.run(use(complete))
    ask(complete, "DELETE FROM ds_layout")  # all but the stamp was done
    asyncio.run(use(complete))
    for undone in ("DROP TABLE ds_shape", "DROP TABLE ds_commit", "DROP INDEX ds_record_shape ON ds_record"):
        ask(complete, "DELETE FROM ds_layout")
        ask(complete, undone)
        asyncio.run(use(complete))
    assert ask(complete, "SELECT COUNT(*) FROM ds_layout") == ((1,),)


def test_least_privileges(mariadb: str) -> None:
    """A user who may make tables opens the database; one who may not uses it from then on, and cannot make it."""
    url = database(mariadb)
    parts = urlsplit(url)
    name = parts.path[1:]

    def user(grants: str) -> str:
        who = f"u{os.urandom(6).hex()}"
        ask(url, f"CREATE USER {who}@'%' IDENTIFIED BY 'pa''ss\\\\ßü'")
        ask(url, f"GRANT {grants} ON {name}.* TO {who}@'%'")
        return parts._replace(netloc=f"{who}:pa'ss%5C%C3%9F%C3%BC@{parts.hostname}:{parts.port}").geturl()

    async def use(url: str) -> None:
        async with adapter_of(url, sweep_interval=0) as adapter:
            puts = [Put("things", f"k{n}", b"v", fields={"n": n}) for n in range(10)]
            await adapter.write(WriteBatch(puts, atomic=True))
            assert (await adapter.health()).ok
            assert await adapter.count(Query("things")) == 10
            assert await adapter.delete("things", "k1")

    daily = user("SELECT, INSERT, UPDATE, DELETE")
    with pytest.raises(BackendUnavailable, match="lacks a privilege") as caught:
        asyncio.run(use(daily))
    assert not caught.value.retryable
    asyncio.run(use(user("SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX")))
    asyncio.run(use(daily))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"netloc": "root:wrong-4711@{host}"}, "does not let this user in"),
        ({"path": "/no_such_database"}, "does not exist"),
        ({"netloc": "root:secret-4711@127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_what_cannot_be_opened(mariadb: str, change: dict[str, str], message: str) -> None:
    """Each says what to do, and no message holds the password."""
    parts = urlsplit(mariadb)
    change = {name: text.format(host=f"{parts.hostname}:{parts.port}") for name, text in change.items()}
    url = parts._replace(**change).geturl()

    async def main() -> None:
        async with adapter_of(url):
            raise AssertionError("it was opened")

    with pytest.raises(BackendUnavailable, match=message) as caught:
        asyncio.run(main())
    assert "4711" not in str(caught.value)


# --- URLs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/database", "names a user and a database"),
        ("mysql://user:secret@host", "names a user and a database"),
        ("mysql+pymysql://user:secret@host/database", "only driver"),
        ("mysql://user:secret@host/database?charset=latin1", "takes each of the parameters"),
        ("mysql://user:secret@host:port/database", "not a URL"),
        ("mysql://user:secret@host/database?connect_timeout=soon", "number of seconds"),
        ("mysql://user:secret@host/database?ssl_mode=maybe", "ssl_mode"),
        ("mysql://user:secret@host/database?ssl_ca=/no/such/file", "cannot be read"),
        ("mysql://user:secret@host/database?ssl_mode=disabled&ssl_ca=x", "takes no certificates"),
    ],
)
def test_urls_that_are_refused(url: str, message: str) -> None:
    """A URL that cannot be used says how to write it, without its password."""
    with pytest.raises(ConfigError, match=message) as caught:
        SQLAdapter.from_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+asyncmy", "mariadb+asyncmy"])
def test_urls_that_are_taken(scheme: str, tmp_path: Path) -> None:
    """The names of the database and of the driver are all understood, and so is every escape."""
    adapter = SQLAdapter.from_url(f"{scheme}://u%40x:p%2F%3A%40@db.example:3307/data?unix_socket=%2Ftmp%2Fs")
    driver = adapter.database.driver  # type: ignore[attr-defined]
    assert (driver.user, driver.password, driver.host, driver.port) == ("u@x", "p/:@", "db.example", 3307)
    assert (driver.database, driver.socket) == ("data", "/tmp/s")
    assert "p/:@" not in repr(adapter.database)
