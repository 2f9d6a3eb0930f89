"""The server: the reference adapter behind a socket, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from daystore.abc import EVENTUAL, Instant, Query, WriteBatch
from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable, DaystoreError, OperationTimeout
from daystore_compliance.proxy.server import stop_listening
from daystore_compliance.wire.journal import MOST, Change, Journal, Name
from daystore_compliance.wire.protocol import ProtocolError, read_frame, write_frame

__all__ = ["Space", "WireServer"]

T = TypeVar("T")

LOOPBACK: Final = "127.0.0.1"


Disk = list[tuple[Instant, WriteBatch, Sequence[str]]]
"""What a server finds again after it was killed: its writes, in order, with their instants and marks."""


class Shelf(MemoryAdapter):
    """The records of one namespace."""

    name = "wire"


class Space:
    """One namespace: its records, and what is remembered of their changes.

    Every request brings the present instant with it, so the time is the client's.

    Args:
        namespace: Its name.
        disk: Where each write is kept before it is answered; ``None`` for nowhere.
    """

    def __init__(self, namespace: str, disk: Disk | None = None) -> None:
        self.journal: Journal = Journal()
        self.disk: Disk | None = disk
        self._now: Instant = 0
        self._shelf = Shelf(namespace=namespace, clock=lambda: self._now)
        self._dead: dict[str, None] = {}

    @property
    def size(self) -> int:
        """Number of records, the expired ones included."""
        return sum(map(len, self._shelf._collections.values()))

    async def answer(self, request: dict[str, Any]) -> Any:
        """Do what is asked. Nothing in here waits, so each request is one instant."""
        self._dead.update(dict.fromkeys(request["abandoned"]))
        while len(self._dead) > MOST:
            del self._dead[next(iter(self._dead))]
        if request["token"] in self._dead:
            raise OperationTimeout("the client has given this request up", backend=Shelf.name)
        self._now = request["now"]
        requests: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
            "read": self._read,
            "write": self._write,
            "look": self._look,
            "query": self._query,
            "count": self._count,
            "aggregate": self._aggregate,
            "explain": self._explain,
            "health": self._health,
        }
        return await requests[request["do"]](*request["with"])

    async def _read(self, collection: str, keys: Sequence[str]) -> Any:
        return await self._shelf._read(collection, keys, EVENTUAL)

    async def _write(self, batch: WriteBatch, marks: Sequence[str]) -> Any:
        outcomes = await self._shelf._write(batch)
        self.journal.note(batch, marks, outcomes)
        if self.disk is not None:
            self.disk.append((self._now, batch, marks))
        return outcomes

    async def recover(self, disk: Disk) -> None:
        """Write again what was kept of an earlier life."""
        for now, batch, marks in disk:
            self._now = now
            self.journal.note(batch, marks, await self._shelf._write(batch))

    async def _look(self, names: Sequence[Name], number: int) -> list[Change | None]:
        return [self.journal.since(name, number) for name in names]

    async def _query(self, query: Query) -> Any:
        return await self._shelf._query(query, EVENTUAL)

    async def _count(self, query: Query) -> Any:
        return await self._shelf._count(query, EVENTUAL)

    async def _aggregate(self, query: Query, aggregation: Any) -> Any:
        return await self._shelf._aggregate(query, aggregation, EVENTUAL)

    async def _explain(self, query: Query) -> Any:
        return await self._shelf._explain(query)

    async def _health(self) -> dict[str, str]:
        return {"server": "wire"}


class WireServer:
    """Serves namespaces to those who know the password.

    Args:
        password: What a client has to say.
        keeps: Whether what was written is there again after `kill` and `start`.

    Attributes:
        port: Where it listens, once it was started.
        space: Class of its namespaces, for variations of it.
    """

    host: Final = LOOPBACK
    space: type[Space] = Space

    def __init__(self, password: str = "", *, keeps: bool = False) -> None:
        self.port: int = 0
        self._password = password
        self._spaces: dict[str, Space] = {}
        self._disks: dict[str, Disk] | None = {} if keeps else None
        self._connections: dict[str, set[asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None

    # --- Life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, from a thread, until `stop`."""
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="wire server")
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """End all connections and the thread. The records stay."""
        if self._thread is None or self._loop is None or self._ending is None:
            return
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()
        self._thread = None

    def kill(self) -> None:
        """End in the middle of whatever is done, and forget everything but what was kept."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel)
        self.stop()
        self._spaces.clear()

    def _run(self, started: Future[None]) -> None:
        async def serve() -> None:
            self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
            for namespace, disk in (self._disks or {}).items():
                await self._space(namespace).recover(disk)
            server = await asyncio.start_server(self._accepted, self.host, self.port)
            self.port = server.sockets[0].getsockname()[1]
            started.set_result(None)
            await self._ending.wait()
            await stop_listening(server)
            while self._tasks:
                self._cancel()
                await asyncio.sleep(0)
            await asyncio.sleep(0)  # the sockets close in the next turn

        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    # --- What can be seen from outside ---------------------------------------------------------------------

    async def inspect(self, namespace: str, client: str) -> tuple[int, int]:
        """Count, from any event loop, the records of a namespace and the connections of a client."""

        async def count() -> tuple[int, int]:
            return self._space(namespace).size, len(self._connections.get(client, ()))

        if self._loop is None:
            raise RuntimeError("the server was not started")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(count(), self._loop))

    def _space(self, namespace: str) -> Space:
        if namespace not in self._spaces:
            disk = None if self._disks is None else self._disks.setdefault(namespace, [])
            self._spaces[namespace] = self.space(namespace, disk)
        return self._spaces[namespace]

    # --- Serving -------------------------------------------------------------------------------------------

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # a task may be cancelled before it begins

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: set[asyncio.StreamWriter] = set()
        try:
            hello = await read_frame(reader)
            if not hmac.compare_digest(hello["password"].encode(), self._password.encode()):
                write_frame(writer, BackendUnavailable("the password is wrong", backend=Shelf.name))
                return
            mine = self._connections.setdefault(hello["client"], set())
            mine.add(writer)
            space = self._space(hello["namespace"])
            write_frame(writer, {"time": _time(), "number": space.journal.number})
            while True:
                await writer.drain()
                request = await read_frame(reader)
                answer = await _answer(space, request)
                write_frame(writer, {"id": request["id"], "number": space.journal.number, "answer": answer})
        except (OSError, EOFError, ProtocolError):
            pass  # the client has gone, or is none of ours
        finally:
            mine.discard(writer)
            with suppress(OSError):
                writer.close()
                await writer.wait_closed()


async def _answer(space: Space, request: dict[str, Any]) -> Any:
    """Return the answer to a request, or the error. What comes too late is refused: nobody waits for it."""
    try:
        deadline = request["deadline"]
        if deadline is not None and _time() > deadline:
            raise OperationTimeout("the request arrived after its time limit", backend=Shelf.name)
        return await space.answer(request)
    except DaystoreError as error:
        return error


def _time() -> float:
    """Return the server's own time, in seconds; a client learns it when it connects."""
    return asyncio.get_running_loop().time()
