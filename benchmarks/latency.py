"""A way to a server that takes a while: ``python -m benchmarks.latency HOST PORT MILLISECONDS``.

It runs in a process of its own, so that what it does is not counted, and prints the port on which it listens.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on what comes, each piece after the delay; pieces do not wait for each other."""
    loop = asyncio.get_running_loop()
    waiting: deque[tuple[float, bytes]] = deque()
    come = asyncio.Event()

    async def send() -> None:
        while True:
            while not waiting:
                come.clear()
                await come.wait()
            due, data = waiting.popleft()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    sending = asyncio.ensure_future(send())
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            waiting.append((loop.time() + delay, data))
            come.set()
    waiting.append((loop.time() + delay, b""))
    come.set()
    with suppress(ConnectionError, OSError):
        await sending


async def serve(host: str, port: int, milliseconds: float) -> None:
    """Listen, and connect every client to the server, half of the time in each direction."""
    delay = milliseconds / 2000

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        try:
            await asyncio.gather(pump(reader, back, delay), pump(there, writer, delay))
        finally:
            writer.close()
            back.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def delayed(host: str, port: int, milliseconds: float) -> Iterator[int]:
    """Yield the port of a way to the server that takes so long, there and back together."""
    command = [sys.executable, "-m", "benchmarks.latency", host, str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
