"""What a transaction costs that reads two records and writes both: on one backend, and across two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial

import asyncpg

from benchmarks.backends import BACKENDS
from benchmarks.measure import Step, Workload, best, concurrent, sequential
from benchmarks.operations import Figures
from benchmarks.servers import server
from benchmarks.subjects import JSON
from daystore import Storage
from daystore.config.models import StoreConfig
from daystore.plugins import default_plugins

ALONE, AT_ONCE = "one after the other", "32 tasks"
COLUMNS = (ALONE, AT_ONCE)
TASKS = 32
USED = ("postgresql", "redis", "mongo", "s3")
"""The servers that are needed."""
ACROSS = (("postgresql", "redis"), ("postgresql", "s3"), ("redis", "mongo"))
RAW = "raw asyncpg, BEGIN … COMMIT"

Transaction = Callable[[int], Awaitable[object]]
"""Does the transaction of a number; each has two records of its own."""


@contextmanager
def servers(urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the URLs of all servers that are used."""
    with ExitStack() as stack:
        found = {}
        for name in USED:
            target = BACKENDS[name].target
            assert target is not None
            found[name] = stack.enter_context(server(target, urls.get(name)))
        yield found


def runs(rounds: int) -> int:
    """Return how many runs `measure` makes."""
    return len(COLUMNS) * rounds * (1 + 1 + len(USED) + len(ACROSS))


async def measure(urls: Mapping[str, str], sqlite: str, count: int, rounds: int, step: Step) -> Figures:
    """Measure a bare transaction of PostgreSQL, and those of daystore.

    Args:
        urls: Of the servers, by backend.
        sqlite: URL of a new SQLite file.
        count: Transactions in one run.
        rounds: How often each is measured.
        step: Told what goes on.
    """
    async with AsyncExitStack() as stack:
        places = {
            name: await stack.enter_async_context(BACKENDS[name].module.workspace(url))
            for name, url in urls.items()
        }
        subjects: dict[str, Transaction] = {
            RAW: await stack.enter_async_context(raw(places["postgresql"], count)),
            "SQLite": await stack.enter_async_context(ours({"sqlite": sqlite}, count)),
        }
        for names in [*((name,) for name in USED), *ACROSS]:
            title = " and ".join(BACKENDS[name].title for name in names)
            own = {name: places[name] for name in names}
            subjects[title] = await stack.enter_async_context(ours(own, count))
        figures: Figures = {}
        for column in COLUMNS:
            tasks = TASKS if column == AT_ONCE else 1
            workloads: dict[str, Workload] = {
                name: partial(concurrent, one, count, tasks) if tasks > 1 else partial(sequential, one, count)
                for name, one in subjects.items()
            }
            figures[column] = await best(workloads, rounds, partial(_tell, step, column))
        return figures


def _tell(step: Step, column: str, subject: str) -> None:
    step(f"{column}: {subject}")


@asynccontextmanager
async def raw(url: str, count: int) -> AsyncIterator[Transaction]:
    """Two rows that are locked, read and written, in a transaction as SQL has them."""
    async with asyncpg.create_pool(url, min_size=10, max_size=10) as pool:
        await pool.execute("CREATE TABLE accounts (key TEXT PRIMARY KEY, value BYTEA NOT NULL)")
        rows = [(f"{side}{number}", JSON.dumps({"n": 100})) for number in range(count) for side in "ab"]
        await pool.executemany("INSERT INTO accounts VALUES ($1, $2)", rows)
        read = "SELECT key, value FROM accounts WHERE key = ANY($1) ORDER BY key FOR UPDATE"
        write = "UPDATE accounts SET value = $2 WHERE key = $1"

        async def move(number: int) -> None:
            async with pool.acquire() as connection, connection.transaction():
                found = await connection.fetch(read, [f"a{number}", f"b{number}"])
                (a, b) = (JSON.loads(row["value"])["n"] for row in found)
                changed = [
                    (f"a{number}", JSON.dumps({"n": a - 1})),
                    (f"b{number}", JSON.dumps({"n": b + 1})),
                ]
                await connection.executemany(write, changed)

        yield move


@asynccontextmanager
async def ours(urls: Mapping[str, str], count: int) -> AsyncIterator[Transaction]:
    """The same through stores: both on one backend, or one on each of two."""
    plugins = default_plugins()
    adapters = {name: plugins.open_adapter(url, namespace="-".join(urls)) for name, url in urls.items()}
    first, *_, last = [*urls, *urls]
    stores = {
        name: StoreConfig(backend=backend, collection=name)
        for name, backend in (("here", first), ("there", last))
    }
    async with Storage(adapters, stores=stores) as storage:
        here, there = storage.store("here"), storage.store("there")
        await here.set_batch({f"a{number}": {"n": 100} for number in range(count)})
        await there.set_batch({f"b{number}": {"n": 100} for number in range(count)})

        async def move(number: int) -> None:
            async with storage.transaction() as tx:
                a, b = await tx[here].get(f"a{number}"), await tx[there].get(f"b{number}")
                assert a is not None
                assert b is not None
                await tx[here].set(f"a{number}", {"n": a["n"] - 1})
                await tx[there].set(f"b{number}", {"n": b["n"] + 1})

        yield move
