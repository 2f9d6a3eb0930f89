"""Opening, closing, cancelling, forgetting: nothing leaks, nothing hangs, nothing reaches the wrong caller."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from daystore.abc import EVENTUAL, Order, Put, Query, WriteBatch
from daystore.errors import StoreClosed
from daystore_sql.adapter import SQLAdapter
from daystore_sql.session import Session

from .conftest import descriptors

Make = Callable[..., SQLAdapter]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("daystore-sql")]


def test_opening_and_closing_two_hundred_times_leaks_nothing(make: Make) -> None:
    async def main() -> None:
        adapter = make()

        async def use(times: int) -> None:
            for _ in range(times):
                async with adapter:
                    await adapter.set("n", "a", b"1")
                    await asyncio.gather(*(adapter.get("n", "a") for _ in range(3)))

        await use(10)
        before = len(descriptors())
        await use(190)
        assert len(descriptors()) == before
        assert threads() == []

    asyncio.run(main())


def test_what_waits_is_done_before_it_closes(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        await adapter.open()
        writes = [asyncio.ensure_future(adapter.set("n", f"k{n}", b"")) for n in range(50)]
        reads = [asyncio.ensure_future(adapter.get("n", "k1")) for n in range(50)]
        await asyncio.sleep(0)
        await adapter.close()
        await asyncio.gather(*writes, *reads)
        async with adapter:
            assert await adapter.count(Query("n")) == 50

    asyncio.run(main())


def test_opened_twice_at_once(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        await asyncio.gather(adapter.open(), adapter.open(), adapter.open())
        await adapter.set("n", "a", b"1")
        assert sorted(threads()) == ["daystore-sql-writer"]
        await asyncio.gather(adapter.close(), adapter.close())
        assert threads() == []

    asyncio.run(main())


def test_an_opening_that_is_cancelled_leaves_nothing(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        async with adapter:
            await adapter.set("n", "a", b"1")
        before = len(descriptors())
        for _ in range(20):
            opening = asyncio.ensure_future(adapter.open())
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        async with adapter:
            assert await adapter.exists("n", "a")
        for thread in threading.enumerate():
            if thread.name.startswith("daystore-sql"):
                await asyncio.to_thread(thread.join, 10)
        assert threads() == []
        assert len(descriptors()) == before

    asyncio.run(main())


def test_used_from_one_loop_after_another(make: Make) -> None:
    adapter = make()

    async def use() -> None:
        async with adapter:
            await adapter.set("n", "a", b"1")
            await asyncio.gather(*(adapter.get("n", "a") for _ in range(10)))

    asyncio.run(use())
    asyncio.run(use())


def test_an_adapter_that_is_forgotten_ends_its_threads(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        await adapter.open()
        await adapter.get("n", "a")
        gone = weakref.ref(adapter)
        lanes = [thread for thread in threading.enumerate() if thread.name.startswith("daystore-sql")]
        assert len(lanes) == 2
        del adapter
        gc.collect()
        assert gone() is None
        for thread in lanes:
            await asyncio.to_thread(thread.join, 10)
        assert threads() == []

    asyncio.run(main())


FORGET = """
import asyncio, sys
from daystore_sql.adapter import SQLAdapter

async def main():
    global adapter
    adapter = SQLAdapter.from_url("sqlite:///" + sys.argv[1])
    await adapter.open()
    await adapter.set("n", "a", b"1")
    await adapter.get("n", "a")

asyncio.run(main())
print("done")
"""


def test_a_forgotten_close_does_not_keep_the_interpreter_from_ending(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGET, str(tmp_path / "test.db")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


FORK = """
import asyncio, os, sys
from daystore.errors import StoreClosed
from daystore_sql.adapter import SQLAdapter

async def use(adapter):
    try:
        await adapter.get("n", "a")
    except StoreClosed as error:
        os._exit(7 if "fork" in str(error) else 1)

async def main():
    async with SQLAdapter.from_url("sqlite:///" + sys.argv[1]) as adapter:
        await adapter.set("n", "a", b"1")
        child = os.fork()
        if not child:
            asyncio.events._set_running_loop(None)
            asyncio.run(use(adapter))
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        await adapter.set("n", "a", b"2")

asyncio.run(main())
"""


def test_a_forked_process_is_told_to_open_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        # Newer Pythons warn of what is done here on purpose.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(tmp_path / "test.db")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_reads_that_wait_are_done_together_and_each_caller_gets_its_own(make: Make) -> None:
    async def main() -> None:
        async with make(readers=1) as adapter:
            await adapter.set_batch(
                [Put(c, f"k{n}", f"{c}{n}".encode(), fields={"f": n}) for c in "ab" for n in range(9)]
            )
            release = threading.Event()
            texts: list[str] = []

            def hold(session: Session) -> None:
                connection: Any = session.connection
                connection.set_trace_callback(texts.append)
                release.wait(10)

            holding = asyncio.ensure_future(adapter._opened.read("test", EVENTUAL, hold))
            wanted = [
                (c, [f"k{n}", "none", f"k{m}"])
                for c in ("a", "b", "missing")
                for n in range(9)
                for m in range(9)
            ]
            tasks = [
                asyncio.ensure_future(adapter._opened.read_records(c, keys, EVENTUAL)) for c, keys in wanted
            ]
            await asyncio.sleep(0)
            tasks[5].cancel()
            release.set()
            await holding
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert len([text for text in texts if "ds_record" in text]) == 2  # a collection, a statement
            assert isinstance(results[5], asyncio.CancelledError)
            records = []
            for (collection, keys), found in zip(wanted, results, strict=True):
                if isinstance(found, BaseException):
                    continue
                values = [None if record is None else record.value for record in found]
                expected = [f"{collection}{key[1:]}".encode() for key in keys]
                assert values == ([None] * 3 if collection == "missing" else [expected[0], None, expected[2]])
                records.append({id(record): record for record in found if record is not None})
            assert len({n for one in records for n in one}) == sum(map(len, records))
            assert len({id(r.fields) for one in records for r in one.values()}) == sum(map(len, records))

    asyncio.run(main())


def test_a_single_reader_takes_turns(make: Make) -> None:
    """Neither a stream of reads nor one of queries keeps the other from being answered."""

    async def main() -> None:
        async with make(readers=1) as adapter:
            await adapter.set("n", "a", b"1")
            done: set[str] = set()

            async def stream(name: str, operation: Callable[[], Awaitable[object]]) -> None:
                while len(done) < 2:
                    await asyncio.gather(*(operation() for _ in range(10)))
                    done.add(name)

            read, count = partial(adapter.get, "n", "a"), partial(adapter.count, Query("n"))
            streams = [stream("read", read) for _ in range(3)] + [stream("count", count) for _ in range(3)]
            await asyncio.wait_for(asyncio.gather(*streams), 30)

    asyncio.run(main())


def test_reads_do_not_wait_for_queries(make: Make) -> None:
    async def main() -> None:
        async with make(readers=2) as adapter:
            await adapter.set("n", "a", b"1")
            release = threading.Event()
            holding = [
                asyncio.ensure_future(adapter._opened.read("test", EVENTUAL, lambda _: release.wait(10)))
                for _ in range(3)
            ]
            await asyncio.sleep(0)
            assert await adapter.exists("n", "a")
            assert not any(task.done() for task in holding)
            release.set()
            await asyncio.gather(*holding)

    asyncio.run(main())


# --- Cancellation --------------------------------------------------------------------------------------------


def test_a_write_that_waits_is_dropped_when_its_caller_is_cancelled(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            release = threading.Event()
            hold = adapter._opened.ask_writer("test", lambda _: release.wait(10))
            holding = asyncio.ensure_future(hold)
            tasks = [asyncio.ensure_future(adapter.set("n", f"k{n}", b"")) for n in range(4)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            tasks[3].cancel()
            await asyncio.wait([tasks[1], tasks[3]])
            release.set()
            await holding
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True] * 2
            assert [r.key for r in (await adapter.query(Query("n"))).records] == ["k0", "k2"]

    asyncio.run(main())


def test_a_write_that_was_begun_ends_whole_and_before_any_later_one(make: Make) -> None:
    async def main() -> None:
        async with make() as adapter:
            begun, release = threading.Event(), threading.Event()

            def clock() -> int:
                begun.set()
                release.wait(10)
                return 5

            def slow(session: Session) -> None:
                session.clock = clock

            await adapter._opened.ask_writer("test", slow)
            batch = WriteBatch([Put("n", key, b"1", fields={"f": 1}) for key in ("a", "b")], atomic=True)
            first = asyncio.ensure_future(adapter.write(batch))
            await asyncio.to_thread(begun.wait, 10)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            later = asyncio.ensure_future(adapter.set("n", "a", b"2"))
            await asyncio.sleep(0)
            release.set()
            await later
            found = await adapter.get_batch("n", ["a", "b"])
            assert {key: record.value for key, record in found.items()} == {"a": b"2", "b": b"1"}

    asyncio.run(main())


def test_cancelled_at_random_points_nobody_gets_the_answer_of_another(make: Make) -> None:
    """Each key has its own value; a batch is there whole or not at all; nothing is left open."""
    chance = random.Random(7)

    async def main() -> None:
        async with make(readers=2) as adapter:
            await adapter.set_batch([Put("n", f"k{n}", str(n).encode()) for n in range(20)])
            interrupted = 0

            async def work(n: int) -> None:
                for _ in range(30):
                    record = await adapter.get("n", f"k{n % 20}")
                    assert record is not None
                    assert record.value == str(n % 20).encode()
                    page = await adapter.query(Query("n", limit=n % 5 + 1))
                    assert len(page.records) == n % 5 + 1
                    puts = [Put("pairs", f"{n}{side}", os.urandom(3)) for side in "ab"]
                    puts[1].value = puts[0].value
                    await adapter.set_batch(puts, atomic=True)

            async def interrupt(n: int) -> None:
                nonlocal interrupted
                for _ in range(8):
                    task = asyncio.ensure_future(work(n))
                    for _ in range(chance.randrange(40)):
                        await asyncio.sleep(0)
                    task.cancel()
                    try:
                        await task
                    except asyncio.CancelledError:
                        interrupted += 1

            await asyncio.gather(*(interrupt(n) for n in range(20)))
            assert interrupted > 50
            found = await adapter.get_batch("pairs", [f"{n}{side}" for n in range(20) for side in "ab"])
            for n in range(20):
                pair = [found.get(f"{n}{side}") for side in "ab"]
                assert len({None if record is None else record.value for record in pair}) == 1
            await adapter.set("n", "last", b"")
            assert await adapter.exists("n", "last")

    asyncio.run(main())
    assert threads() == []


def test_a_read_that_nobody_waits_for_ends_early(make: Make) -> None:
    async def main() -> None:
        async with make(readers=1) as adapter:

            def endless(session: Session) -> None:
                started.set()
                session.execute(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
                )

            started = threading.Event()
            reading = asyncio.ensure_future(adapter._opened.read("test", EVENTUAL, endless))
            await asyncio.to_thread(started.wait, 10)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert await adapter.get("n", "a") is None

    asyncio.run(main())


def test_nothing_blocks_the_event_loop(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        with blockbuster_ctx():
            async with adapter:
                await asyncio.gather(*(adapter.set("n", f"k{n}", b"", fields={"f": n}) for n in range(50)))
                query = Query("n", order=Order("f", descending=True), limit=3)
                pages = await asyncio.gather(*(adapter.query(query) for _ in range(50)))
                assert {tuple(r.key for r in page.records) for page in pages} == {("k49", "k48", "k47")}
                assert (await adapter.health()).ok
            async with adapter:
                assert await adapter.exists("n", "k1")

    asyncio.run(main())


def test_an_operation_of_a_closed_adapter_is_refused(make: Make) -> None:
    async def main() -> None:
        adapter = make()
        await adapter.open()
        await adapter.close()
        for operation in (adapter.get("n", "a"), adapter.count(Query("n")), adapter.health()):
            with pytest.raises(StoreClosed):
                await operation

    asyncio.run(main())
