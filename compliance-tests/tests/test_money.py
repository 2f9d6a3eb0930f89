"""Money moved across backends: mistakes in its books are told, a process dies where it has to, and a short run."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from pathlib import Path

import pytest

from daystore.abc import ABSENT, Check, CheckQuery, Delete, Holds, Prepare, Put, Query, Release, WriteBatch
from daystore.abc.coordination import STATUS_COLLECTION
from daystore.adapters.memory import MemoryAdapter
from daystore.plugins import default_plugins
from daystore_compliance.commands.money import money
from daystore_compliance.money.ledger import Ledger, Transfer
from daystore_compliance.money.steps import STEPS, Doom, step_of
from daystore_compliance.money.worker import Order, work


def test_the_books_balance_and_each_mistake_in_them_is_told() -> None:
    transfer = Transfer("t1", ("a", "a0"), ("b", "a1"), 7, "b")

    async def books() -> None:
        async with MemoryAdapter() as a, MemoryAdapter() as b:
            ledger = Ledger({"a": a, "b": b})
            await ledger.begin()
            await ledger.move(transfer, 1.0)
            assert await ledger.check(["t1"], ["t2"]) == (1, [])
            assert await ledger.audit(1.0) is None
            assert await ledger.check(["t1", "t2"], []) == (
                1,
                ["transfer t2 was acknowledged and is not there"],
            )
            assert await ledger.check([], ["t1"]) == (1, ["transfer t1 was refused and is there"])
            await ledger.move(transfer, 1.0)  # applied twice, recorded once
            twice = [
                "account a0 of a has 986, and its transfers make 993",
                "account a1 of b has 1014, and its transfers make 1007",
            ]
            assert await ledger.check(["t1"], []) == (1, twice)
            await a.delete("accounts", "a0")
            total = f"{ledger.total - 986}, not {ledger.total}"
            assert f"the total is {total}" in (await ledger.check(["t1"], []))[1]
            assert await ledger.audit(1.0) == f"a transaction saw a total of {total}"

    asyncio.run(books())


def test_every_request_of_a_commit_is_one_of_its_steps() -> None:
    name = bytes(16)
    requests = {
        "begin": WriteBatch((Put(STATUS_COLLECTION, "k", b'{"status":"pending"}', ABSENT),)),
        "beat": WriteBatch((Put(STATUS_COLLECTION, "k", b'{"status":"pending"}', "v"),)),
        "prepare": WriteBatch((Prepare("c", "k", name),)),
        "validate": WriteBatch((Check("c", "k", "v"),)),
        "decide": WriteBatch((Put(STATUS_COLLECTION, "k", b'{"status":"committed"}', "v"),)),
        "abort": WriteBatch((Put(STATUS_COLLECTION, "k", b'{"status":"aborted"}', "v"),)),
        "settle": WriteBatch((Release("c", "k", Holds(name)),)),
        "forget": WriteBatch((Delete(STATUS_COLLECTION, "k", "v"),)),
        "look": Query("c"),
    }
    assert {step: step_of(request) for step, request in requests.items()} == {step: step for step in STEPS}
    assert step_of(WriteBatch((), atomic=True, queries=(CheckQuery(Query("c"), ()),))) == "validate"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_dies_at_the_step_that_was_chosen_and_another_one_finishes(
    tmp_path: Path, moment: str
) -> None:
    urls = {name: f"sqlite:///{tmp_path / name}.db" for name in ("a", "b")}
    order = Order("p", urls, "money", tmp_path / "log", time.monotonic() + 30, Doom(1, "decide", 1, moment))

    async def meet() -> None:
        adapters = {n: default_plugins().open_adapter(url, namespace="money") for n, url in urls.items()}
        async with adapters["a"], adapters["b"]:
            ledger = Ledger(adapters)
            await ledger.begin()
            process = multiprocessing.get_context("forkserver").Process(target=work, args=(order,))
            process.start()
            await asyncio.to_thread(process.join)
            assert process.exitcode == -9
            *told, last = (tmp_path / "log").read_text().splitlines()
            assert last == f"died decide {moment}"
            assert await ledger.left() > 0, "it died too late"
            for adapter in adapters.values():
                assert adapter.coordinator is not None
                adapter.coordinator.resolver.lease = 0.1
            for _ in range(100):
                if not (await ledger.recover() or await ledger.left()):
                    break
                await asyncio.sleep(0.1)
            assert await ledger.left() == 0
            moved = [line.split()[1] for line in told if line.startswith("moved")]
            kept, problems = await ledger.check(moved, [])
            assert problems == []
            assert kept >= len(moved) + (moment == "after"), "what was decided is not there"

    asyncio.run(meet())


def test_money_is_moved_while_processes_die(capsys: pytest.CaptureFixture[str]) -> None:
    assert money(seconds=15, processes=3, backends="sqlite,sqlite") == 0
    out = capsys.readouterr().out
    assert "every sum is right, nothing is left" in out


def test_what_cannot_be_moved_across_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert money(seconds=1, backends="memory,sqlite") == 4
    assert "'memory' cannot be reached by several processes" in capsys.readouterr().err
