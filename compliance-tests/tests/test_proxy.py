"""The fault proxy does each fault to the message it was told, counts what happened, and leaves nothing behind."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import pytest

from daystore_compliance.proxy import REPLY, REQUEST, FaultProxy
from daystore_compliance.proxy.fault import Action, Fault

Test = Callable[[], Awaitable[None]]


def on_a_loop(test: Test) -> Callable[[], None]:
    """Run a coroutine test, and expect that the loop is as clean as before."""

    @wraps(test)
    def run() -> None:
        complaints: list[dict[str, Any]] = []

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(10):
                await test()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(watched(), debug=True)
        gc.collect()  # a transport that nobody closed complains now
        assert complaints == []

    return run


class Lines:
    """A server that answers each line with ``re: line``, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.ended = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while line := await reader.readline():
                self.seen.append(line)
                if line.endswith(b"\n"):
                    writer.write(b"re: " + line)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[FaultProxy, Lines]]:
    lines = Lines()
    server = await asyncio.start_server(lines.serve, "127.0.0.1", 0, limit=1 << 22)
    host, port = server.sockets[0].getsockname()
    async with FaultProxy(host, port) as proxy:
        yield proxy, lines
    await until(lambda: lines.ended == len(lines.writers))
    server.close()
    await server.wait_closed()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 -- what is waited for happens at the other end of a socket
            await asyncio.sleep(0.001)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, text: str) -> str:
        self.writer.write(text.encode() + b"\n")
        return await self.answer()

    async def answer(self) -> str:
        line = await self.reader.readline()
        if not line:
            raise EOFError
        return line.decode()


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    made = Client(*await asyncio.open_connection(proxy.host, proxy.port, limit=1 << 22))
    try:
        yield made
    finally:
        made.writer.transport.abort()


@on_a_loop
async def test_everything_goes_through_and_is_counted() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        for number in range(5):
            assert await one.ask(f"{number}") == f"re: {number}\n"
        seen = proxy.traffic
        assert (seen.connections, seen.requests, seen.replies, seen.refused) == (1, 5, 5, 0)
        assert (seen.sent, seen.received) == (10, 30)
        assert len(lines.seen) == 5
        async with client(proxy) as two:
            assert await two.ask("x") == "re: x\n"
            assert proxy.live == 2
        assert proxy.traffic.connections == 2
        assert seen.requests == 5, "what was read before does not change"
        await until(lambda: proxy.live == 1)


@on_a_loop
async def test_a_request_in_many_chunks_is_one_and_so_is_its_reply() -> None:
    async with proxied() as (proxy, _), client(proxy) as one:
        text = "x" * 1_048_576
        assert await one.ask(text) == f"re: {text}\n"
        assert (proxy.traffic.requests, proxy.traffic.replies) == (1, 1)
        assert proxy.traffic.sent == 1_048_577
        one.writer.write(b"two ")
        await one.writer.drain()
        await asyncio.sleep(0.01)
        assert await one.ask("parts") == "re: two parts\n"
        assert (proxy.traffic.requests, proxy.traffic.replies) == (2, 2)


@on_a_loop
async def test_half_close_goes_through() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        one.writer.write(b"last\n")
        one.writer.write_eof()
        assert await one.answer() == "re: last\n"
        assert await one.reader.read() == b""
        await until(lambda: lines.ended == 1 and proxy.live == 0)


@on_a_loop
async def test_cut_resets_all_connections_and_accepts_new_ones() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one, client(proxy) as two:
        await asyncio.gather(one.ask("1"), two.ask("2"))
        assert proxy.cut() == 2
        for cut in (one, two):
            with pytest.raises(ConnectionResetError):
                await cut.ask("3")
        await until(lambda: lines.ended == 2)
        async with client(proxy) as three:
            assert await three.ask("4") == "re: 4\n"
        assert sorted(lines.seen) == [b"1\n", b"2\n", b"4\n"]
        await until(lambda: proxy.live == 0)
        assert proxy.cut() == 0


@on_a_loop
async def test_a_gentle_cut_is_an_end_and_no_reset() -> None:
    async with proxied() as (proxy, _), client(proxy) as one:
        await one.ask("1")
        assert proxy.cut(gently=True) == 1
        assert await one.reader.read() == b""


@on_a_loop
async def test_refuse() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        await one.ask("1")
        with proxy.refuse():
            for _ in range(2):
                with pytest.raises((ConnectionError, EOFError)):
                    async with client(proxy) as two:
                        await two.ask("2")
            assert await one.ask("3") == "re: 3\n", "what is connected stays"
        assert proxy.traffic.refused == 2
        assert proxy.traffic.connections == 1
        async with client(proxy) as two:
            await two.ask("4")
        assert lines.seen == [b"1\n", b"3\n", b"4\n"]


@on_a_loop
async def test_down_and_back_on_the_same_port() -> None:
    async with proxied() as (proxy, _), client(proxy) as one:
        await one.ask("1")
        port = proxy.port
        async with proxy.down():
            with pytest.raises(ConnectionResetError):
                await one.ask("2")
            with pytest.raises(ConnectionRefusedError):
                async with client(proxy):
                    pass
        assert proxy.port == port
        async with client(proxy) as two:
            assert await two.ask("3") == "re: 3\n"


@on_a_loop
async def test_stall_holds_both_directions_and_new_connections_until_its_end() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        await one.ask("1")
        with proxy.stall():
            waiting = asyncio.ensure_future(one.ask("2"))
            async with client(proxy) as two:
                later = asyncio.ensure_future(two.ask("3"))
                done, _ = await asyncio.wait([waiting, later], timeout=0.05)
                assert not done
                assert lines.seen == [b"1\n"]
                later.cancel()
                await asyncio.wait([later])
        assert await waiting == "re: 2\n"


@on_a_loop
async def test_drop_request_hides_it_from_the_server() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        await one.ask("1")
        with proxy.drop_request() as fault:
            with pytest.raises(ConnectionResetError):
                await one.ask("2")
            assert fault.hits == 1
            assert fault.struck.is_set()
            async with client(proxy) as two:
                assert await two.ask("3") == "re: 3\n", "it strikes once"
        await until(lambda: lines.ended == 2)
        assert lines.seen == [b"1\n", b"3\n"]


@on_a_loop
async def test_drop_request_of_many_chunks_hides_all_of_it() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.drop_request() as fault, pytest.raises(ConnectionError):
            await one.ask("x" * 1_048_576)
        assert fault.hits == 1
        await until(lambda: lines.ended == len(lines.writers))
        assert lines.seen == []


@on_a_loop
async def test_drop_request_keeps_its_beginning() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.drop_request(keep=3), pytest.raises(EOFError):
            await one.ask("abcdef")
        await until(lambda: lines.ended == 1)
        assert lines.seen == [b"abc"]


@on_a_loop
async def test_drop_reply_lets_the_server_work() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.drop_reply() as fault, pytest.raises(ConnectionResetError):
            await one.ask("1")
        assert fault.hits == 1
        assert lines.seen == [b"1\n"]


@on_a_loop
async def test_drop_reply_keeps_its_beginning() -> None:
    async with proxied() as (proxy, _), client(proxy) as one:
        with proxy.drop_reply(keep=2):
            assert await one.ask("1") == "re"
        assert await one.reader.read() == b""


@on_a_loop
async def test_a_fault_waits_for_the_nth_message_over_all_connections() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one, client(proxy) as two:
        with proxy.drop_reply(3) as fault:
            await one.ask("1")
            await two.ask("2")
            assert fault.hits == 0
            with pytest.raises(ConnectionResetError):
                await one.ask("3")
            assert await two.ask("4") == "re: 4\n"
        assert fault.hits == 1
        assert len(lines.seen) == 4


@on_a_loop
async def test_a_lasting_fault_strikes_from_there_on() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one, client(proxy) as two:
        with proxy.drop_request(2, lasting=True) as fault:
            await one.ask("1")
            for cut in (one, two):
                with pytest.raises(ConnectionResetError):
                    await cut.ask("2")
        assert fault.hits == 2
        assert lines.seen == [b"1\n"]


@on_a_loop
async def test_a_fault_is_gone_after_its_block() -> None:
    async with proxied() as (proxy, _), client(proxy) as one:
        with proxy.drop_request(2) as fault:
            await one.ask("1")
        await one.ask("2")
        assert fault.hits == 0


@on_a_loop
async def test_drop_one_reply_shifts_what_a_careless_client_reads() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.drop_one(REPLY) as fault:
            lost = asyncio.ensure_future(one.ask("1"))
            await fault.struck.wait()
            one.writer.write(b"2\n")
            assert await lost == "re: 2\n"
        assert lines.seen == [b"1\n", b"2\n"]
        assert await one.ask("3") == "re: 3\n"


@on_a_loop
async def test_drop_one_request() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.drop_one(REQUEST) as fault:
            one.writer.write(b"1\n")
            await fault.struck.wait()
        await asyncio.sleep(0.01)  # the rest of the same request would be lost as well
        assert lines.seen == []
        assert proxy.live == 1


@on_a_loop
async def test_repeat_delivers_a_reply_twice() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.repeat() as fault:
            assert await one.ask("1") == "re: 1\n"
        assert await one.ask("2") == "re: 1\n", "the reply that was repeated"
        assert await one.answer() == "re: 2\n"
        assert fault.hits == 1
        assert lines.seen == [b"1\n", b"2\n"]


@on_a_loop
async def test_a_delayed_reply_comes_when_released_and_others_do_not_wait() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one, client(proxy) as two:
        with proxy.delay(REPLY) as fault:
            waiting = asyncio.ensure_future(one.ask("1"))
            await fault.struck.wait()
            assert lines.seen == [b"1\n"]
            assert await two.ask("2") == "re: 2\n"
            assert not waiting.done()
            fault.release()
            assert await waiting == "re: 1\n"


@on_a_loop
async def test_a_delayed_request_arrives_after_its_client_has_gone() -> None:
    for gently in (False, True):
        async with proxied() as (proxy, lines):
            with proxy.delay(REQUEST) as fault:
                async with client(proxy) as one:
                    one.writer.write(b"late\n")
                    await fault.struck.wait()
                    if gently:
                        one.writer.write_eof()
                async with client(proxy) as two:
                    assert await two.ask("early") == "re: early\n"
            await until(lambda lines=lines: len(lines.seen) == 2)  # type: ignore[misc]
            assert lines.seen == [b"early\n", b"late\n"]
            await until(lambda proxy=proxy: proxy.live == 0)  # type: ignore[misc]


@on_a_loop
async def test_a_cut_forgets_what_is_held() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        with proxy.delay(REQUEST) as fault:
            one.writer.write(b"held\n")
            await fault.struck.wait()
            proxy.cut()
        await until(lambda: lines.ended == len(lines.writers) and proxy.live == 0)
        assert lines.seen == []


@on_a_loop
async def test_many_at_once() -> None:
    async def one(proxy: FaultProxy, number: int) -> None:
        async with client(proxy) as mine:
            for turn in range(10):
                text = f"{number}:{turn}:" + "x" * (number * 997)
                assert await mine.ask(text) == f"re: {text}\n"

    async with proxied() as (proxy, lines):
        await asyncio.gather(*(one(proxy, number) for number in range(30)))
        assert proxy.traffic.connections == 30
        assert proxy.traffic.requests == proxy.traffic.replies == len(lines.seen) == 300


@on_a_loop
async def test_a_server_that_is_not_there_resets_the_client() -> None:
    async with proxied() as (other, _):
        port = other.port
    async with FaultProxy("127.0.0.1", port) as proxy, client(proxy) as one:
        with pytest.raises((ConnectionError, EOFError)):
            await one.ask("1")
        await until(lambda: proxy.live == 0)


@on_a_loop
async def test_a_server_that_resets_is_passed_on() -> None:
    async with proxied() as (proxy, lines), client(proxy) as one:
        await one.ask("1")
        lines.writers[0].transport.abort()
        assert await one.reader.read() == b""


@on_a_loop
async def test_close_while_everything_is_going_on() -> None:
    async with proxied() as (proxy, _):
        held = proxy.delay(REQUEST, 2)
        with held as fault, proxy.stall():
            clients = [Client(*await asyncio.open_connection(proxy.host, proxy.port)) for _ in range(5)]
            for one in clients:
                one.writer.write(b"x" * 100_000)
            await until(lambda: proxy.traffic.requests == 5)
            assert fault.hits == 1
            await proxy.__aexit__(None, None, None)
            assert proxy.live == 0
            for one in clients:
                with pytest.raises((ConnectionError, EOFError)):
                    await one.answer()
                one.writer.transport.abort()


def test_what_a_fault_cannot_be() -> None:
    for nth, keep in ((0, 0), (1, -1)):
        with pytest.raises(ValueError, match="a fault strikes"):
            Fault(Action.CUT, REPLY, nth, keep=keep)
    assert repr(Fault(Action.CUT, REPLY)) == "<Fault cut reply hits=0>"
