"""From a failed case to a script that shows its fault again: on the mutant, and not on the reference."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daystore.abc import (
    ABSENT,
    EVENTUAL,
    Aggregate,
    Aggregation,
    Compare,
    Delete,
    Function,
    Not,
    Op,
    Order,
    Put,
    Query,
    Record,
    WriteBatch,
)
from daystore_compliance.case import REGISTRY
from daystore_compliance.clock import START, ManualClock
from daystore_compliance.plan import Plan
from daystore_compliance.reproduce.replay import Difference, shortest
from daystore_compliance.reproduce.report import sections
from daystore_compliance.reproduce.script import Failure, script_of, text_of
from daystore_compliance.reproduce.source import source_of
from daystore_compliance.reproduce.trace import Step, Trace
from daystore_compliance.run import run_case, trace_of
from daystore_compliance.suite import load
from daystore_compliance.target import MemoryTarget, resolve

load()

MUTANTS = [
    ("SilentLoser", "cas.stale_rejected"),
    ("DropsMissing", "batch.order"),
    ("FirstThousand", "batch.chunking"),
    ("PieceByPiece", "batch.atomic_all_or_none"),
    ("ForgetsAtClose", "life.close_reopen_durable"),
    ("DeleteIgnores", "cas.delete_if"),
]


def failed(mutant: str, case_id: str) -> tuple[AssertionError, list[Step]]:
    with pytest.raises(AssertionError) as caught:
        run_case(REGISTRY[case_id], resolve(f"mutant:{mutant}"), plan=Plan())
    trace = trace_of(caught.value)
    assert trace is not None
    return caught.value, trace.steps


def run_script(text: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = folder / "script.py"
    file.write_text(text)
    command = [sys.executable, str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("mutant", "case_id"), MUTANTS)
def test_script_shows_the_fault_of_the_mutant_alone(mutant: str, case_id: str, tmp_path: Path) -> None:
    _, steps = failed(mutant, case_id)
    found = shortest(steps, resolve(f"mutant:{mutant}"))
    assert found is not None
    assert len(found.steps) <= 6, "what does not matter was not left out"
    for target, code in ((f"mutant:{mutant}", 1), ("memory", 0)):
        failure = Failure(case_id, None, REGISTRY[case_id].promise, target, "quick", 0)
        ran = run_script(script_of(failure, found), tmp_path)
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert "expected: " in ran.stdout


def test_fault_that_needs_the_whole_case_is_shown_by_the_whole_case(tmp_path: Path) -> None:
    _, steps = failed("ReadsThenWrites", "cas.one_winner")
    assert shortest(steps, resolve("mutant:ReadsThenWrites")) is None
    for target, code in (("mutant:ReadsThenWrites", 1), ("memory", 0)):
        failure = Failure("cas.one_winner", None, REGISTRY["cas.one_winner"].promise, target, "quick", 0)
        ran = run_script(script_of(failure, None), tmp_path)
        assert ran.returncode == code, ran.stdout + ran.stderr


def test_report_has_promise_seed_steps_and_script(tmp_path: Path) -> None:
    error, _ = failed("SilentLoser", "cas.stale_rejected")
    case, target = REGISTRY["cas.stale_rejected"], resolve("mutant:SilentLoser")
    told = dict(sections(case, None, target, Plan(seed=3), error, tmp_path))
    promise = told["the promise that was not kept"]
    assert case.promise in promise
    assert "seed 3, level quick" in promise
    assert "daystore certify mutant:SilentLoser --case cas.stale_rejected" in promise
    assert "if_version=" in told["the shortest operations that show it"]
    written = tmp_path / "reproduce" / "SilentLoser-cas.stale_rejected.py"
    assert written.read_text() == told["a script that shows it"]


class Placed(MemoryTarget):
    """A target with a name that takes a URL."""

    name = "placed"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.text = url


URL = "redis://alice:hunter2@db.example/0"


@pytest.mark.parametrize("whole", [True, False])
def test_script_is_given_the_url_that_has_a_secret(tmp_path: Path, *, whole: bool) -> None:
    case = REGISTRY["cas.stale_rejected"]
    steps = [Step(0, "open", ("n",), now=START), Step(0, "read", ("c", ["a"]), now=START)]
    found = None if whole else Difference(steps, None, [None])
    script = script_of(Failure.of(case, None, resolve(URL), Plan()), found)
    assert "hunter2" not in script
    assert "redis://alice:***@db.example/0" in script
    ran = run_script(script, tmp_path, "memory")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "resolve('placed', sys.argv[1])" in script_of(Failure.of(case, None, Placed(URL), Plan()), found)
    open_to_all = script_of(Failure.of(case, None, Placed("redis://db.example"), Plan()), found)
    assert "resolve('placed', 'redis://db.example')" in open_to_all


def test_report_tells_no_secret(tmp_path: Path) -> None:
    error, _ = failed("SilentLoser", "cas.stale_rejected")
    told = dict(sections(REGISTRY["cas.stale_rejected"], None, Placed(URL), Plan(), error, tmp_path))
    assert (
        "daystore certify placed --url 'redis://alice:***@db.example/0'"
        in told["the promise that was not kept"]
    )
    written = (tmp_path / "reproduce" / "placed-cas.stale_rejected.py").read_text()
    assert "hunter2" not in "".join(told.values()) + written


def test_reference_differs_from_itself_in_nothing() -> None:
    """A trace of the reference is answered as the reference answers, whatever is in it."""
    for case_id in ("cas.stale_keeps_all", "page.progress", "ttl.restart", "txn.stale_each", "agg.empty"):
        traces: list[Trace] = []

        async def kept(env: Any, case_id: str = case_id, traces: list[Trace] = traces) -> None:
            traces.append(env.trace)
            await REGISTRY[case_id].body(env)

        run_case(replace(REGISTRY[case_id], body=kept), MemoryTarget())
        assert traces[0].steps
        assert shortest(traces[0].steps, MemoryTarget()) is None, case_id


def test_steps_are_kept_as_they_were() -> None:
    async def body(env: Any) -> None:
        keys = iter(["a", "b"])
        put = env.records("c").a_put("a", b"1")
        await env.adapter.write(WriteBatch([put]))
        put.value = b"changed"
        assert list(await env.adapter.get_batch("c", keys)) == ["a"]
        with pytest.raises(TypeError):
            await env.adapter.get("c", 1)
        env.clock.advance(1)
        await env.adapter.exists("c", "a")
        seen.append(env.trace)

    seen: list[Trace] = []
    run_case(replace(REGISTRY["cas.aba"], body=body), MemoryTarget())
    steps = [step for step in seen[0].steps if step.operation != "open"]
    assert [step.operation for step in steps] == ["write", "get_batch", "get", "exists"]
    assert steps[0].arguments[0].operations[0].value == b"1"
    assert steps[1].arguments[1] == ["a", "b"], "an iterator is consumed once, and known all the same"
    assert isinstance(steps[2].answer, TypeError)
    assert steps[3].now == START + 1_000_000
    assert all(step.ended for step in steps)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1.5, "a\n'\"", b"\x00\xff", [1, (2,), ()], {"a": [1]}),
        datetime(2026, 3, 29, 12, tzinfo=UTC),
        Put("c", "k", b"v", expect=ABSENT, expires_at=1000, fields={"f": ("x",)}, version="1"),
        Delete("c", "k", "version"),
        Query("c", Not(Compare("f", Op.IN, (1, "1", True))), order=Order("f", descending=True), limit=0),
        Aggregation({"n": Aggregate(Function.COUNT), "s": Aggregate(Function.SUM, "f")}, ("g",)),
        Record("k", b"v", "1", 1, 2, fields={"f": 1.0}),
        EVENTUAL,
    ],
)
def test_source_makes_the_value_again(value: Any) -> None:
    import daystore.abc as names

    scope = {**vars(names), "datetime": datetime}
    assert eval(source_of(value), scope) == value


def test_source_for_people_is_cut() -> None:
    assert source_of(b"x" * 100) == "b'x' * 100"
    assert source_of(list(range(100)), most=3) == "[0, 1, 2, … 97 more]"
    assert source_of("ab" * 50, most=4) == "'abab'… 100 in all"
    assert len(text_of([Step(0, "get", ("c", str(n))) for n in range(100)]).splitlines()) == 41


def test_difference_is_the_first_one() -> None:
    clock = ManualClock()

    async def steps() -> list[Step]:
        trace = Trace(clock)
        adapter = await resolve("mutant:DropsMissing").open("n", clock)
        trace.opened(adapter, "n")
        await adapter.read("c", ["a"])
        await adapter.read("c", ["a", "b"])
        await adapter.read("c", ["a", "b", "c"])
        await adapter.close()
        return trace.steps

    found = shortest(asyncio.run(steps()), resolve("mutant:DropsMissing"))
    assert isinstance(found, Difference)
    assert [step.operation for step in found.steps] == ["open", "read"]
    assert (found.answer, found.expected) == ([], [None, None])
