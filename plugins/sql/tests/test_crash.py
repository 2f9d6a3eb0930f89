"""Several processes on one file, and processes that are killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daystore.abc import Query
from daystore_sql.adapter import SQLAdapter

Make = Callable[..., SQLAdapter]

COUNT = """
import asyncio, sys
from daystore.errors import VersionConflict
from daystore_sql.adapter import SQLAdapter

async def increment(adapter, conflicts):
    while True:
        record = await adapter.get("n", "counter")
        version = None if record is None else record.version
        value = 0 if record is None else int(record.value)
        try:
            value = str(value + 1).encode()
            await adapter.set("n", "counter", value, if_version=version, if_absent=record is None)
            return
        except VersionConflict:
            conflicts.append(1)

async def main():
    conflicts = []
    async with SQLAdapter.from_url("sqlite:///" + sys.argv[1], busy_timeout=60, timeout=None) as adapter:

        async def work():
            for _ in range(50):
                await increment(adapter, conflicts)

        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(work() for _ in range(16)))
    print(len(conflicts), flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_sixteen_tasks_count_in_each_of_four_processes(tmp_path: Path, make: Make) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT, str(tmp_path / "test.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    conflicts = [int(process.communicate(timeout=100)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert all(count > 0 for count in conflicts)

    async def read() -> int:
        async with make() as adapter:
            record = await adapter.get("n", "counter")
            assert record is not None
            return int(record.value)

    assert asyncio.run(read()) == 4 * 16 * 50


# Has everything imported and starts a writer by forking, so that a hundred of them do not take minutes.
WRITERS = """
import asyncio, os, sys
from daystore.abc import Put
from daystore_sql.adapter import SQLAdapter

async def write(path, first):
    async with SQLAdapter.from_url("sqlite:///" + path) as adapter:

        async def work(lane):
            for n in range(first + lane, first + 1_000_000, 4):
                value = b"x" * (n % 3000)
                pair = [Put("pairs", f"{n}{s}", value, fields={"n": n, "s": s, "tags": (s, "x")}) for s in "ab"]
                await adapter.set_batch(pair, atomic=True)
                os.write(1, f"{n}\\n".encode())

        await asyncio.gather(*(work(lane) for lane in range(4)))

for line in sys.stdin:
    writer = os.fork()
    if not writer:
        asyncio.run(write(sys.argv[1], int(line)))
    print("writer", writer, flush=True)
    os.waitpid(writer, 0)
    print("gone", flush=True)
"""


def kill_one(writers: subprocess.Popen[str], first: int, moment: float) -> list[int]:
    """Start a writer, kill it at some moment after its first write; return what was acknowledged."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write(f"{first}\n")
    writers.stdin.flush()
    process = 0
    acknowledged: list[int] = []
    while not (process and acknowledged):
        line = writers.stdout.readline()
        if line.startswith("writer"):
            process = int(line.split()[1])
        else:
            acknowledged.append(int(line))
    time.sleep(moment)  # a random moment is what is tested
    os.kill(process, signal.SIGKILL)
    while (line := writers.stdout.readline()) != "gone\n":
        acknowledged.append(int(line))
    return acknowledged


@pytest.mark.slow
def test_killed_a_hundred_times_nothing_that_was_acknowledged_is_lost(tmp_path: Path, make: Make) -> None:
    """A process writes pairs, in four tasks at once, and tells the number of each that was acknowledged."""
    chance = random.Random(11)
    acknowledged: set[int] = set()
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(tmp_path / "test.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writers:
        for generation in range(100):
            acknowledged.update(kill_one(writers, generation * 1_000_000, chance.random() * 0.02))

    async def check() -> None:
        async with make() as adapter:
            page = await adapter.query(Query("pairs"))
            found: dict[int, str] = {}
            for record in page.records:
                number = int(record.key[:-1])
                found[number] = found.get(number, "") + record.key[-1]
                assert len(record.value) == number % 3000
                assert record.fields == {"n": number, "s": record.key[-1], "tags": (record.key[-1], "x")}
            assert set(found.values()) == {"ab"}
            assert acknowledged <= found.keys()
            assert len(acknowledged) >= 100

    asyncio.run(check())
    check_index(tmp_path / "test.db")


def check_index(path: Path) -> None:
    """Every index entry belongs to a record, and every record has all of its own."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM ds_field WHERE record = r.id) FROM ds_record r"
        ).fetchall()
        (entries,) = connection.execute("SELECT count(*) FROM ds_field").fetchone()
    # n, s, the list as a whole, and its two elements.
    assert set(counts) == {(5,)}
    assert entries == 5 * len(counts)
