"""Sentinel: whom it calls the master is asked, and asked again when that one does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from daystore.errors import BackendUnavailable
from daystore_redis.adapter import RedisAdapter
from daystore_redis.compliance import PASSWORD, RedisTarget


class Watch:
    """A sentinel, as far as clients ask it.

    Attributes:
        master: Whom it calls the master of the service ``main``.
        asked: How often it was asked.
        asked_again: Set when it is asked.
        port: Where it listens.
    """

    def __init__(self, master: tuple[str, int]) -> None:
        self.master = master
        self.asked = 0
        self.asked_again = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            writer.write(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        if words[0] == b"HELLO":
            return b"%1\r\n+proto\r\n:3\r\n"
        if words[:2] == [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME"]:
            self.asked += 1
            self.asked_again.set()
            if words[2] != b"main":
                return b"_\r\n"
            texts = [str(part).encode() for part in self.master]
            return b"*2\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts)
        return b"-ERR unknown command\r\n"  # a sentinel knows few, and TIME is not among them


def test_a_new_master_is_found(server: RedisTarget, make: Callable[..., RedisAdapter]) -> None:
    """The master is asked for once; when it is gone, again, and the next operation goes to the new one."""

    async def main() -> None:
        watch, dead = Watch(server.address), ("127.0.0.1", 1)
        async with watch.watching():
            url = f"redis+sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.1:{watch.port}/main/0"
            async with make(url=url) as adapter:
                await adapter.set("c", "k", b"v")
                assert watch.asked == 1
                servers = adapter._exchange.servers  # type: ignore[union-attr]
                watch.master = dead
                servers.forget()
                watch.asked_again.clear()
                looking = asyncio.ensure_future(adapter.get("c", "k"))
                await watch.asked_again.wait()
                watch.master = server.address
                found = await looking
                assert found is not None
                assert watch.asked >= 3
            with pytest.raises(BackendUnavailable) as caught:
                await make(url=url.replace("/main/", "/other/")).open()
            assert PASSWORD not in str(caught.value)

    asyncio.run(main())
