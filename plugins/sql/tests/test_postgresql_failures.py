"""What is told of an operation on PostgreSQL that fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator

import pytest

from daystore.abc import Put, WriteBatch
from daystore.errors import BackendUnavailable, OperationTimeout, OutcomeUnknown
from daystore_compliance.proxy import FaultProxy
from daystore_sql.adapter import SQLAdapter
from daystore_sql.network.driver import DriverFailure

OPERATIONS: dict[str, Callable[[SQLAdapter], Awaitable[object]]] = {
    "get": lambda adapter: adapter.get("unheard_of", "k"),
    "set": lambda adapter: adapter.set("unheard_of", "k", b"v", fields={"f": 1}),
    "batch": lambda adapter: adapter.write(WriteBatch([Put("unheard_of", "k", b"v")], atomic=True)),
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all those that a traceback would show with it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_names_that_are_not_known_yet_are_no_part_of_a_failure(
    postgresql: str, driver: str, name: str
) -> None:
    """That the names of a collection have to be asked for is nothing that went wrong: no traceback shows it."""
    parts = postgresql.partition("@")
    host, port = parts[2].partition("/")[0].split(":")

    async def main() -> None:
        async with FaultProxy(host, int(port)) as proxy:
            url = f"{parts[0]}@{proxy.host}:{proxy.port}/postgres".replace(
                "postgresql", f"postgresql+{driver}"
            )
            async with SQLAdapter.from_url(url, namespace=os.urandom(6).hex()) as adapter:
                async with proxy.down():
                    with pytest.raises(BackendUnavailable) as lost:
                        await OPERATIONS[name](adapter)
                adapter.timeout = 0.1
                with proxy.stall(), pytest.raises((OperationTimeout, OutcomeUnknown)) as late:
                    await OPERATIONS[name](adapter)
        told = [*chain(lost.value), *chain(late.value)]
        assert any(isinstance(error, DriverFailure | OSError) for error in chain(lost.value))
        assert not [error for error in told if "planning" in type(error).__module__]

    asyncio.run(main())
