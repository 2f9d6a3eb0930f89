"""The wire backend says everything over its protocol, knows what became of a write, and closes what it opened."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Aggregate,
    Aggregation,
    And,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Explanation,
    Function,
    GroupRow,
    Not,
    Op,
    Or,
    Order,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore.errors import (
    BackendUnavailable,
    ConfigError,
    InvalidCursor,
    OperationTimeout,
    OutcomeUnknown,
    StoreClosed,
    VersionConflict,
)
from daystore_compliance.clock import ManualClock
from daystore_compliance.proxy import REPLY, FaultProxy
from daystore_compliance.wire import WireAdapter, WireServer, WireTarget
from daystore_compliance.wire import journal as journal_module
from daystore_compliance.wire.journal import Change, Journal
from daystore_compliance.wire.protocol import MAX_FRAME, ProtocolError, decode, encode, read_frame
from daystore_compliance.wire.verdict import judge


def over_the_wire(test: Callable[[WireTarget], Awaitable[None]]) -> Callable[[], None]:
    """Run a coroutine test with a server."""

    def run() -> None:
        before = threading.active_count()
        with WireTarget().running() as target:
            assert isinstance(target, WireTarget)

            async def limited() -> None:
                async with asyncio.timeout(20):
                    await test(target)
                assert asyncio.all_tasks() == {asyncio.current_task()}

            asyncio.run(limited())
        assert threading.active_count() == before

    run.__name__ = test.__name__  # and no more of it: pytest would take the argument for a fixture
    return run


# --- The protocol ------------------------------------------------------------------------------------------

WHERE = And((Compare("n", Op.IN, (1, 1.5, "x", True)), Or((Not(Compare("l", Op.CONTAINS, "x")),))))
QUERY = Query("c0", WHERE, Order("n", descending=True), 10, 2, None, allow_scan=True)


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            True,
            False,
            0,
            1,
            -1,
            2**63,
            10**300,
            0.0,
            1.0,
            1e308,
            5e-324,
            "",
            "\0",
            "a\u2028é\U0010ffff",
        ),
        *(b"", bytes(range(256)), [], [1, [2]], (), ("a",), ((), []), {}, {"bytes": "x", "tuple": []}),
        {("c0", "k"): [None]},
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        datetime(1, 1, 2, tzinfo=UTC),
        *(ABSENT, ANY, KEEP, Op.IN, Function.SUM),
        Record("k", b"v", "1", 2, 3, 4000, "t", {"n": 1, "l": ("a",)}, "s", 1, ("zstd",), b"i"),
        WriteBatch(
            [Put("c0", "a", b"", ABSENT, KEEP, fields={"n": 1.5}), Delete("c0", "b"), Check("c0", "c", "v")],
            atomic=True,
            queries=[CheckQuery(QUERY, [("k", "v")])],
        ),
        Aggregation({"n": Aggregate(Function.COUNT), "m": Aggregate(Function.MAX, "f")}, ("g",)),
        Page([Record("k", b"", "v", 0, 0)], "cursor"),
        GroupRow((None, ("a",), 1), {"n": 2**70, "m": None}),
        Explanation(indexed=True, strategy="x", detail=("y",)),
        Outcome("v", existed=True),
        Change(1, "mark", existed=False),
    ],
    ids=repr,
)
def test_what_is_encoded_is_decoded_the_same(value: object) -> None:
    found = decode(json.loads(json.dumps(encode(value))))
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_floats_that_are_not_finite_and_negative_zero() -> None:
    found = decode(json.loads(json.dumps(encode([float("inf"), float("-inf"), -0.0]))))
    assert repr(found) == "[inf, -inf, -0.0]"


def test_an_instant_comes_back_in_utc() -> None:
    there = datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    found = decode(encode(there))
    assert found == there
    assert found.tzinfo is UTC


def test_an_error_comes_back_with_its_attributes() -> None:
    error = VersionConflict(
        "no", key="k", collection="c0", current="v", index=3, backend="wire", operation="write"
    )
    found = decode(json.loads(json.dumps(encode(Outcome(None, existed=False, error=error))))).error
    assert type(found) is VersionConflict
    assert vars(found) == vars(error)
    assert type(decode(encode(InvalidCursor("damaged")))) is InvalidCursor


def test_what_has_no_tag_is_refused() -> None:
    for value in (object(), {1, 2}, 1j, type("Str", (str,), {})("x")):
        with pytest.raises(TypeError, match="no tag"):
            encode(value)


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        b'{"a": 1, "b": 2}',
        b'{"os.system": ["ls"]}',
        b'{"error": ["SystemExit", {"map": []}]}',
        b'{"Put": ["c0"]}',
        b'{"Put": ["C 0", "k", {"bytes": ""}]}',
        b'{"bytes": "?"}',
        b"[" * 100_000,
        b"\xff",
        b"",
    ],
    ids=lambda frame: repr(frame[:20]),
)
def test_a_frame_that_is_none_is_refused(frame: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(len(frame).to_bytes(4) + frame)
        with pytest.raises(ProtocolError):
            await read_frame(reader)

    asyncio.run(read())


def test_a_frame_that_is_too_large_or_short_is_refused() -> None:
    async def read(data: bytes) -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await read_frame(reader)

    with pytest.raises(ProtocolError, match="too large"):
        asyncio.run(read((MAX_FRAME + 1).to_bytes(4)))
    with pytest.raises(EOFError):
        asyncio.run(read(b"\0\0\0\5{}"))


# --- What became of a write --------------------------------------------------------------------------------


def test_a_journal_knows_the_last_change_of_each_key() -> None:
    journal = Journal()
    put, delete = Put("c0", "a", b""), Delete("c0", "b")
    journal.note(WriteBatch([put, delete]), ["m1", "m2"], [Outcome("v", False), Outcome(None, True)])
    assert journal.number == 2
    assert journal.since(("c0", "a"), 0) == Change(1, "m1", existed=False)
    assert journal.since(("c0", "b"), 1) == Change(2, "m2", existed=True)
    assert journal.since(("c0", "a"), 1) is None
    assert journal.since(("c1", "a"), 0) is None


def test_what_changed_nothing_is_no_change() -> None:
    journal = Journal()
    batch = WriteBatch([Delete("c0", "a"), Put("c0", "b", b""), Check("c0", "c", ABSENT)])
    refused = Outcome(None, False, VersionConflict())
    journal.note(batch, ["1", "2", "3"], [Outcome(None, False), refused, Outcome(None, True)])
    assert journal.number == 0


def test_a_journal_that_has_forgotten_does_not_say_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST", 2)
    journal = Journal()
    for key in "abc":
        journal.note(WriteBatch([Put("c0", key, b"")]), [key], [Outcome("v", False)])
    assert journal.since(("c0", "a"), 0) == Change(1, "", existed=False)
    assert journal.since(("c0", "x"), 0) is not None, "it may have been forgotten, too"
    assert journal.since(("c0", "a"), 1) is None


def _verdict(changes: list[Change | None], *, atomic: bool) -> Any:
    batch = WriteBatch(
        [Put("c0", "a", b"", version="v"), Delete("c0", "b"), Check("c0", "c", "x")], atomic=atomic
    )
    return judge(batch, ["v", "d", "-"], changes)


def test_the_verdict_on_an_atomic_batch() -> None:
    mine, foreign = Change(5, "v", existed=True), Change(6, "other", existed=True)
    assert _verdict([None, None, None], atomic=True) == {}, "send it again"
    assert _verdict([mine, None, foreign], atomic=True) == {
        0: Outcome("v", existed=True),
        1: Outcome(None, existed=False),
        2: Outcome(None, existed=True),
    }
    assert _verdict([foreign, None, None], atomic=True) is None
    assert _verdict([mine, foreign, None], atomic=True) is None


def test_the_verdict_on_each_operation() -> None:
    foreign = Change(6, "other", existed=True)
    found = _verdict([foreign, Change(5, "d", existed=True), None], atomic=False)
    assert type(found[0].error) is OutcomeUnknown
    assert found[1] == Outcome(None, existed=True)
    assert 2 not in found


# --- The adapter and its server ----------------------------------------------------------------------------


def test_a_url_names_host_port_and_password() -> None:
    adapter = WireAdapter.from_url("wire://:p%40ss@localhost:4711", namespace="n", clock=ManualClock())
    assert (adapter._address, adapter._password, adapter.namespace) == (("localhost", 4711), "p@ss", "n")
    assert "p@ss" not in repr(adapter)
    for url in (
        "wire://localhost",
        "wire:",
        "memory://",
        "redis://localhost:1",
        "wire://h:port",
        "wire://[::1",
    ):
        with pytest.raises(ConfigError):
            WireAdapter.from_url(url)


@over_the_wire
async def test_a_wrong_password_is_refused_and_not_told(target: WireTarget) -> None:
    adapter = WireAdapter(*target.address, password="hunter2")
    with pytest.raises(BackendUnavailable, match="password is wrong") as caught:
        await adapter.open()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreClosed):
        await adapter.get("c0", "k")


def test_a_server_that_is_not_there() -> None:
    server = WireServer()
    server.stop()
    server.start()
    port = server.port
    server.stop()

    async def attempt() -> None:
        adapter = WireAdapter("127.0.0.1", port)
        with pytest.raises(BackendUnavailable) as caught:
            await adapter.open()
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    asyncio.run(attempt())


def test_a_server_that_cannot_listen_says_so() -> None:
    with WireTarget().running() as target:
        taken = WireServer()
        taken.port = target.address[1]
        with pytest.raises(OSError, match="in use"):
            taken.start()


def test_records_outlive_the_event_loop_and_the_server() -> None:
    target = WireTarget()

    async def write() -> None:
        async with await target.open("n", ManualClock()) as adapter:
            await adapter.set("c0", "k", b"v")

    async def read() -> None:
        async with await target.open("n", ManualClock()) as adapter:
            record = await adapter.get("c0", "k")
            assert record is not None
            assert record.value == b"v"

    with target.running():
        asyncio.run(write())
    with target.running():
        asyncio.run(read())


@over_the_wire
async def test_strangers_are_shown_the_door(target: WireTarget) -> None:
    async with await target.open("n", ManualClock()) as adapter:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2{}", b"\xff" * 8):
            reader, writer = await asyncio.open_connection(*target.address)
            writer.write(data)
            writer.write_eof()
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        await adapter.set("c0", "k", b"v")


@over_the_wire
async def test_the_server_counts_records_and_connections(target: WireTarget) -> None:
    adapter = await target.open("n", ManualClock())
    assert (await target.raw(adapter)).connections == 1
    await asyncio.gather(*(adapter.set("c0", f"k{n}", b"") for n in range(20)))
    raw = await target.raw(adapter)
    assert (raw.records, raw.connections) == (20, 8)
    await adapter.close()
    for _ in range(100):
        if (await target.raw(adapter)).connections == 0:
            break
        await asyncio.sleep(0.005)
    assert (await target.raw(adapter)).connections == 0


@over_the_wire
async def test_one_operation_is_one_round_trip(target: WireTarget) -> None:
    async with (
        FaultProxy(*target.address) as proxy,
        await target.at(proxy.host, proxy.port).open("n", ManualClock()) as adapter,
    ):
        before = proxy.traffic.requests
        await adapter.get_batch("c0", [f"k{n}" for n in range(100)])
        await adapter.set_batch([Put("c0", f"k{n}", b"") for n in range(100)])
        await adapter.count(Query("c0"))
        assert proxy.traffic.requests - before == 3
        assert await adapter.get_batch("c0", []) == {}
        assert proxy.traffic.requests - before == 3


@over_the_wire
async def test_the_outcomes_of_a_batch_whose_reply_was_lost_are_the_true_ones(target: WireTarget) -> None:
    async with (
        FaultProxy(*target.address) as proxy,
        await target.at(proxy.host, proxy.port).open("n", ManualClock()) as adapter,
    ):
        await adapter.set("c0", "there", b"")
        puts = [
            Put("c0", "new", b""),
            Put("c0", "there", b""),
            Put("c0", "taken", b"", "no such version"),
        ]
        batch = WriteBatch([*puts, Delete("c0", "missing")])
        with proxy.drop_reply() as fault:
            outcomes = await adapter.write(batch)
        assert fault.hits == 1
        assert [outcome.existed for outcome in outcomes] == [False, True, False, False]
        assert [outcome.version for outcome in outcomes] == [puts[0].version, puts[1].version, None, None]
        assert type(outcomes[2].error) is VersionConflict


@over_the_wire
async def test_what_was_given_up_is_refused_when_it_arrives(target: WireTarget) -> None:
    from daystore_compliance.proxy import REQUEST

    async with FaultProxy(*target.address) as proxy:
        adapter = await target.at(proxy.host, proxy.port).open("n", ManualClock())
        with proxy.delay(REQUEST) as fault:
            cancelled = asyncio.ensure_future(adapter.set("c0", "k", b"cancelled"))
            await fault.struck.wait()
            cancelled.cancel()
            await asyncio.wait([cancelled])
            await adapter.set("c0", "k", b"later")
            replies = proxy.traffic.replies
        while proxy.traffic.replies == replies:  # noqa: ASYNC110 -- the server's answer, which nobody waits for
            await asyncio.sleep(0.001)
        record = await adapter.get("c0", "k")
        assert record is not None
        assert record.value == b"later"
        await adapter.close()


@over_the_wire
async def test_a_closed_adapter_ends_what_waits(target: WireTarget) -> None:
    async with FaultProxy(*target.address) as proxy:
        adapter = await target.at(proxy.host, proxy.port).open("n", ManualClock())
        with proxy.delay(REPLY, lasting=True) as fault:
            waiting = [asyncio.ensure_future(adapter.get("c0", "k")) for _ in range(20)]
            await fault.struck.wait()
            await adapter.close()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(error) for error in ended} == {StoreClosed}


@over_the_wire
async def test_no_limit_is_no_limit(target: WireTarget) -> None:
    async with await target.open("n", ManualClock()) as adapter:
        adapter.timeout = None
        await adapter.set("c0", "k", b"")
        adapter.timeout = 1e-9
        with pytest.raises(OperationTimeout):
            await adapter.get("c0", "k")
        with pytest.raises(OutcomeUnknown):
            await adapter.set("c0", "k", b"")


def test_another_event_loop_is_refused() -> None:
    with WireTarget().running() as target, asyncio.Runner() as mine:
        adapter = mine.run(target.open("n", ManualClock()))

        async def use() -> None:
            with pytest.raises(StoreClosed, match="another event loop"):
                await adapter.get("c0", "k")

        asyncio.run(use())
        mine.run(adapter.close())
