"""Databases that do not do what they are asked: a clear error, nothing lost, and at work again afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from daystore.abc import Put, Query, WriteBatch
from daystore.errors import (
    BackendUnavailable,
    BatchError,
    ConfigError,
    DaystoreError,
    OutcomeUnknown,
    StoreClosed,
)
from daystore_sql.adapter import SQLAdapter
from daystore_sql.dialects import sqlite_errors
from daystore_sql.session import Session

from .conftest import descriptors

Make = Callable[..., SQLAdapter]


@contextmanager
def held(path: Path, how: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Hold the lock of a database, as another process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(how)
        yield
        connection.execute("ROLLBACK")


def check(error: DaystoreError, *, retryable: bool) -> None:
    assert error.retryable is retryable
    assert error.backend == "sql"
    assert "secret" not in str(error)
    assert "secret" not in repr(error)


def test_a_locked_database(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        async with make(busy_timeout=0.05) as adapter:
            await adapter.set("n", "a", b"1")
            with held(tmp_path / "test.db"):
                with pytest.raises(BackendUnavailable, match="locked") as caught:
                    await adapter.set("n", "secret", b"secret")
                check(caught.value, retryable=True)
                assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
                assert await adapter.exists("n", "a")  # reading goes on
                assert not (await adapter.health()).ok
                puts = [WriteBatch([Put("n", f"g{n}", b"")]) for n in range(3)]
                results = await asyncio.gather(*map(adapter.write, puts), return_exceptions=True)
                assert [type(result) for result in results] == [BackendUnavailable] * 3
            await adapter.set("n", "b", b"2")
            assert (await adapter.health()).ok
            assert list(await adapter.get_batch("n", ["a", "b", "g0"])) == ["a", "b"]

    asyncio.run(main())


def test_a_database_that_is_locked_while_it_is_opened(make: Make, tmp_path: Path) -> None:
    (tmp_path / "test.db").touch()

    async def main() -> None:
        adapter = make(busy_timeout=0.05)
        with held(tmp_path / "test.db", "BEGIN EXCLUSIVE"), pytest.raises(BackendUnavailable, match="locked"):
            await adapter.open()
        async with adapter:
            await adapter.set("n", "a", b"1")

    asyncio.run(main())


def test_writers_of_several_processes_wait_for_each_other(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        async with make() as adapter:
            await adapter.set("n", "a", b"1")
            with held(tmp_path / "test.db"):
                write = asyncio.ensure_future(adapter.set("n", "a", b"2"))
                assert await asyncio.wait([write], timeout=0.2) == (set(), {write})
            await write

    asyncio.run(main())


def test_a_full_disk(make: Make) -> None:
    """SQLite says the same of a database that may not grow as of a disk that has no room."""

    async def main() -> None:
        async with make() as adapter:
            await adapter.set("n", "a", b"1")

            def limit(session: Session, pages: int) -> None:
                session.execute(f"PRAGMA max_page_count = {pages}")

            await adapter._opened.ask_writer("test", limit, 1)  # as many as there are
            big = b"x" * 200_000
            with pytest.raises(BackendUnavailable, match="full") as caught:
                await adapter.set_batch([Put("n", "c", b""), Put("n", "b", big)], atomic=True)
            assert caught.value.retryable
            # In a group, the small ones are applied all the same.
            batches = [
                WriteBatch([Put("n", "a", b"2")]),
                WriteBatch([Put("n", "b", big)]),
                WriteBatch([Put("n", "a", b"3")]),
            ]
            tasks = [asyncio.ensure_future(adapter._opened.write(batch)) for batch in batches]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [list, BackendUnavailable, list]
            assert list(await adapter.get_batch("n", ["a", "b", "c"])) == ["a"]
            await adapter._opened.ask_writer("test", limit, 2**30)
            await adapter.set("n", "b", big)
            records = await adapter.get_batch("n", ["a", "b"])
            assert [record.value for record in records.values()] == [b"3", big]

    asyncio.run(main())


def test_a_file_that_may_not_grow(make: Make) -> None:
    """The operating system refuses to write; what is acknowledged is there, and it works again afterwards."""

    async def main() -> list[str]:
        acknowledged = ["first"]
        async with make() as adapter:
            await adapter.set("n", "first", b"1")
            with _limited(resource.RLIMIT_FSIZE, 1_000_000), pytest.raises(DaystoreError) as caught:
                for n in range(1000):
                    await adapter.set("n", f"k{n}", b"x" * 5000)
                    acknowledged.append(f"k{n}")
            assert isinstance(caught.value, BackendUnavailable | OutcomeUnknown)
            await adapter.set("n", "last", b"2")
            acknowledged.append("last")
            assert list(await adapter.get_batch("n", acknowledged)) == acknowledged
        return acknowledged

    async def reopened(keys: list[str]) -> None:
        async with make() as adapter:
            assert list(await adapter.get_batch("n", keys)) == keys

    keys = asyncio.run(main())
    assert len(keys) > 10
    asyncio.run(reopened(keys))


@contextmanager
def _limited(what: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_too_many_open_files(make: Make) -> None:
    async def main() -> None:
        adapter = make("other.db")
        async with make() as open_before:
            await open_before.set("n", "a", b"1")
            used = max(descriptors()) + 1
            holes = [os.open(os.devnull, os.O_RDONLY) for _ in range(used + 1 - len(descriptors()))]
            with _limited(resource.RLIMIT_NOFILE, max(*holes, used)):
                with pytest.raises(BackendUnavailable, match="too many") as caught:
                    await adapter.open()
                assert caught.value.retryable
                with pytest.raises(BackendUnavailable, match=r"too many|open files"):
                    await open_before.get("n", "a")  # its first reader
                await open_before.set("n", "b", b"2")
            for hole in holes:
                os.close(hole)
            assert list(await open_before.get_batch("n", ["a", "b"])) == ["a", "b"]
            async with adapter:
                assert await adapter.count(Query("n")) == 0

    asyncio.run(main())


def test_a_missing_directory(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        adapter = make("missing/test.db")
        with pytest.raises(BackendUnavailable, match="does not exist: create it"):
            await adapter.open()
        (tmp_path / "missing").mkdir()
        async with adapter:
            await adapter.set("n", "a", b"1")

    asyncio.run(main())


def test_a_directory_where_a_file_should_be(make: Make, tmp_path: Path) -> None:
    (tmp_path / "test.db").mkdir()
    with pytest.raises(BackendUnavailable, match="is a directory"):
        asyncio.run(make().open())
    (tmp_path / "file").touch()
    with pytest.raises(BackendUnavailable, match="is a file"):
        asyncio.run(make("file/test.db").open())


@contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody whom the rights of files concern."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_database_that_may_only_be_read(public: Path) -> None:
    path = public / "test.db"

    async def write() -> None:
        async with SQLAdapter.from_url(f"sqlite:///{path}") as adapter:
            await adapter.set("n", "a", b"1")

    async def main() -> None:
        async with SQLAdapter.from_url(f"sqlite:///{path}") as adapter:
            assert await adapter.exists("n", "a")
            with pytest.raises(BackendUnavailable, match="cannot be written") as caught:
                await adapter.set("n", "secret", b"secret")
            check(caught.value, retryable=False)
            health = await adapter.health()
            assert not health.ok
            assert "written" in health.detail["error"]
            assert not await adapter.exists("n", "secret")

    asyncio.run(write())
    path.chmod(0o444)
    with without_rights():
        asyncio.run(main())
    path.chmod(0o666)
    asyncio.run(write())


def test_a_directory_that_may_not_be_written(public: Path) -> None:
    public.chmod(0o555)
    adapter = SQLAdapter.from_url(f"sqlite:///{public / 'test.db'}")
    with without_rights(), pytest.raises(BackendUnavailable, match="does not allow this user"):
        asyncio.run(adapter.open())
    public.chmod(0o777)


def test_opened_only_to_read(make: Make, tmp_path: Path) -> None:
    async def main() -> None:
        only = SQLAdapter.from_url(f"sqlite:///{tmp_path / 'test.db'}?mode=ro")
        with pytest.raises(BackendUnavailable, match="mode=ro does not create"):
            await only.open()
        async with make() as adapter, only:
            await adapter.set("n", "a", b"1")
            assert await only.exists("n", "a")
            with pytest.raises(BackendUnavailable, match="cannot be written"):
                await only.set("n", "b", b"2")

    asyncio.run(main())


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database(make: Make, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(content)
    with pytest.raises(BackendUnavailable, match=r"not an SQLite database|damaged") as caught:
        asyncio.run(make().open())
    check(caught.value, retryable=False)
    assert path.read_bytes() == content


def test_a_damaged_database_is_an_error_and_not_a_miss(make: Make, tmp_path: Path) -> None:
    async def fill() -> None:
        async with make() as adapter:
            await adapter.set_batch([Put("n", f"k{n}", b"x" * 500) for n in range(500)])

    async def main() -> None:
        async with make() as adapter:
            with pytest.raises(BackendUnavailable, match=r"damaged.*backup") as caught:
                await adapter.get_batch("n", [f"k{n}" for n in range(500)])
            check(caught.value, retryable=False)
            with pytest.raises((BackendUnavailable, BatchError)):
                await adapter.set_batch([Put("n", f"k{n}", b"y") for n in range(500)])

    asyncio.run(fill())
    path = tmp_path / "test.db"
    content = bytearray(path.read_bytes())
    content[40_000:-20_000] = b"\xa5" * (len(content) - 60_000)
    path.write_bytes(content)
    asyncio.run(main())


def test_a_commit_that_the_disk_failed_is_an_unknown_outcome() -> None:
    error: Any = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    assert isinstance(sqlite_errors.translate(error, "commit"), OutcomeUnknown)
    assert isinstance(sqlite_errors.translate(error, "write"), BackendUnavailable)


def test_an_error_that_is_not_foreseen_is_still_ours(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:

            def misuse(session: Session) -> None:
                session.execute("no such statement")

            with pytest.raises(BackendUnavailable, match="SQLITE_ERROR") as caught:
                await adapter._opened.ask_writer("test", misuse)
            assert not caught.value.retryable
            assert await adapter.count(Query("n")) == 0

    asyncio.run(main())


def test_closed(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        with pytest.raises(StoreClosed):
            await adapter.get("n", "a")
        async with adapter:
            engine = adapter._opened
        with pytest.raises(StoreClosed):
            await adapter.set("n", "a", b"")
        with pytest.raises(StoreClosed):
            await engine.write(WriteBatch([Put("n", "a", b"")]))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("sqlite://agent.db", {}, "three slashes"),
        ("sqlite:///a.db?cache=shared", {}, "'mode'"),
        ("sqlite:///a.db?mode=rwx", {}, "'mode'"),
        ("not a url", {}, "not a URL of a database"),
        ("oracle://localhost/agent", {}, "write sqlite:///agent.db, postgresql://"),
        ("postgresql+pg8000://localhost/agent", {}, r"write postgresql:// or postgresql\+asyncpg://"),
        ("postgresql://localhost:port/agent", {}, "not a URL of PostgreSQL"),
        ("postgresql://[bad:1/agent", {}, "host or the port"),
        ("postgresql://localhost/agent?pool=3", {}, "takes no parameter 'pool'"),
        ("postgresql://localhost/agent?sslmode=maybe", {}, "sslmode is one of"),
        ("postgresql://localhost/agent", {"connections": 0}, "connections"),
        ("sqlite:///a.db", {"synchronous": "off"}, "synchronous"),
        ("sqlite:///a.db", {"synchronus": "full"}, "there are: synchronous"),
        ("sqlite:///a.db", {"readers": 0}, "readers"),
    ],
)
def test_what_cannot_be_used(url: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SQLAdapter.from_url(url, **options)


def test_an_sqlite_that_is_too_old_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daystore_sql.dialects.sqlite_database.OLDEST", (99, 0, 0))

    async def main() -> None:
        with pytest.raises(BackendUnavailable, match=r"too old: 99\.0\.0 or later") as caught:
            await make().open()
        check(caught.value, retryable=False)

    asyncio.run(main())
